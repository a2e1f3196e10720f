/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/events.h"

#include <daemon.h>
#include <library.h>
#include <processing/jobs/delete_child_sa_job.h>

#include "ike_bridge/charon/conversions.h"

/* Time for an IKEv1 peer to answer, with retransmissions, before the lost SA is closed. */
enum { kSecondsToRenegotiate = 10 };

struct event_list {
  linked_list_t *events; /* penstock_event */
  linked_list_t *lost;   /* installed_sa */
};

event_list *EventListCreate(void) {
  event_list *this;

  INIT(this, .events = linked_list_create(), .lost = linked_list_create(), );
  return this;
}

void EventListDestroy(event_list *this) {
  this->events->destroy_function(this->events, free);
  this->lost->destroy_function(this->lost, free);
  free(this);
}

void EventListAdd(event_list *this, const penstock_event *event, installed *installed) {
  const bool ours = event->type == PENSTOCK_EVENT_ACQUIRE
                        ? event->reqid != 0
                        : InstalledFindSa(installed, &event->id) != NULL;

  if (ours) {
    this->events->insert_last(this->events,
                              chunk_clone(chunk_create((void *)event, sizeof(*event))).ptr);
  }
}

void EventListAddLost(event_list *this, installed_sa *sa) {
  this->lost->insert_last(this->lost, sa);
}

static void TellExpire(const penstock_sa_id *id, bool hard) {
  host_t *destination = HostOf(&id->destination, 0);

  charon->kernel->expire(charon->kernel, IpProtocolOf(id->protocol), htonl(id->spi), destination,
                         hard);
  DESTROY_IF(destination);
}

static void TellAcquire(const penstock_event *event) {
  kernel_acquire_data_t data = {
      .src = TrafficSelectorOf(&event->packet_source),
      .dst = TrafficSelectorOf(&event->packet_destination),
  };

  charon->kernel->acquire(charon->kernel, event->reqid, &data);
  DESTROY_IF(data.src);
  DESTROY_IF(data.dst);
}

static void TellMapping(const penstock_event *event) {
  host_t *destination = HostOf(&event->id.destination, 0);
  host_t *remote = HostOf(&event->new_address, event->new_port);

  charon->kernel->mapping(charon->kernel, IpProtocolOf(event->id.protocol), htonl(event->id.spi),
                          destination, remote);
  DESTROY_IF(destination);
  DESTROY_IF(remote);
}

static void Tell(const penstock_event *event) {
  switch (event->type) {
    case PENSTOCK_EVENT_EXPIRE:
      TellExpire(&event->id, event->hard);
      break;
    case PENSTOCK_EVENT_ACQUIRE:
      TellAcquire(event);
      break;
    case PENSTOCK_EVENT_MAPPING_CHANGED:
      TellMapping(event);
      break;
  }
}

static bool HasLostInbound(event_list *this, uint32_t reqid) {
  enumerator_t *enumerator = this->lost->create_enumerator(this->lost);
  installed_sa *sa;
  bool found = FALSE;

  while (!found && enumerator->enumerate(enumerator, &sa)) {
    found = sa->inbound && sa->reqid == reqid;
  }
  enumerator->destroy(enumerator);
  return found;
}

/* A hard expire makes charon negotiate a new child SA in IKEv2 only. In IKEv1 the soft one does,
 * and leaves the old one for its hard limit, which the gateway will not tell any more. */
static void TellLostSa(const installed_sa *sa) {
  TellExpire(&sa->id, !sa->ikev1);
  if (sa->ikev1) {
    host_t *destination = HostOf(&sa->id.destination, 0);
    job_t *job =
        (job_t *)delete_child_sa_job_create(PROTO_ESP, htonl(sa->id.spi), destination, TRUE);

    lib->scheduler->schedule_job(lib->scheduler, job, kSecondsToRenegotiate);
    DESTROY_IF(destination);
  }
}

/* Charon names a child SA by either of its SPIs: one expire for both directions is enough. */
static void TellLost(event_list *this) {
  enumerator_t *enumerator = this->lost->create_enumerator(this->lost);
  installed_sa *sa;

  while (enumerator->enumerate(enumerator, &sa)) {
    if (sa->inbound || !HasLostInbound(this, sa->reqid)) {
      TellLostSa(sa);
    }
  }
  enumerator->destroy(enumerator);
  while (this->lost->remove_first(this->lost, (void **)&sa) == SUCCESS) {
    free(sa);
  }
}

void EventListTell(event_list *this) {
  penstock_event *event;

  while (this->events->remove_first(this->events, (void **)&event) == SUCCESS) {
    Tell(event);
    free(event);
  }
  TellLost(this);
}
