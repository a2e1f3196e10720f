/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/sa_name.h"

#include <daemon.h>
#include <library.h>
#include <sa/ike_sa.h>
#include <threading/thread_value.h>

enum { kLongestName = 128 };

struct sa_names {
  listener_t listener;
  thread_value_t *child; /* name of the child that this thread is installing */
};

static bool OnStateChange(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *child_sa,
                          child_sa_state_t state) {
  sa_names *this = (sa_names *)listener;

  if (state == CHILD_INSTALLING) {
    free(this->child->get(this->child));
    this->child->set(this->child, strdup(child_sa->get_name(child_sa)));
  }
  return TRUE;
}

sa_names *SaNamesCreate(void) {
  sa_names *this;

  INIT(this, .listener = {.child_state_change = OnStateChange},
       .child = thread_value_create(free), );
  charon->bus->add_listener(charon->bus, &this->listener);
  return this;
}

void SaNamesDestroy(sa_names *this) {
  charon->bus->remove_listener(charon->bus, &this->listener);
  this->child->destroy(this->child);
  free(this);
}

static child_sa_t *FindChild(ike_sa_t *ike_sa, uint32_t spi) {
  child_sa_t *child = ike_sa->get_child_sa(ike_sa, PROTO_ESP, spi, FALSE);

  return child ? child : ike_sa->get_child_sa(ike_sa, PROTO_ESP, spi, TRUE);
}

void SaNameOf(sa_names *this, uint32_t spi, char *name, size_t size) {
  ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);
  const char *child_name = NULL;
  child_sa_t *child;

  name[0] = '\0';
  if (!ike_sa) {
    return;
  }
  /* Of a rekeyed child the outbound SA is installed later, when the child is in its list. */
  child = FindChild(ike_sa, spi);
  child_name = child ? child->get_name(child) : this->child->get(this->child);
  snprintf(name, min(size, kLongestName), "%s/%s", ike_sa->get_name(ike_sa),
           child_name ? child_name : "?");
  translate(name, "\t\n\r\x7f", "    ");
}
