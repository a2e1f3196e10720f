/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/gateway_link.h"

#include <daemon.h>
#include <library.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <threading/mutex.h>
#include <threading/thread.h>
#include <unistd.h>

#include "ike_bridge/charon/events.h"

enum {
  kRetryMilliseconds = 100,
  kMostTries = 2,
};

struct gateway_link {
  mutex_t *mutex; /* guards all below, but for `stop` and `wake` */
  penstock_client *client;
  installed *installed;
  linked_list_t *lost; /* installed_sa, to be told */
  bool connected;
  bool subscribed;
  time_t unavailable_since;
  uint32_t wait; /* seconds */
  const char *socket;
  thread_t *thread;
  int wake; /* eventfd: there is something to do for the thread */
  volatile bool stop;
};

static void Wake(gateway_link *this) {
  const uint64_t one = 1;

  if (write(this->wake, &one, sizeof(one)) != sizeof(one)) {
    DBG2(DBG_KNL, "the event thread is awake already");
  }
}

static void Disconnected(gateway_link *this) {
  if (this->connected) {
    DBG1(DBG_KNL, "lost the gateway: %s", penstock_client_error(this->client));
    this->unavailable_since = time_monotonic(NULL);
  }
  this->connected = FALSE;
}

/* Subscribes before anything is restored, so that no event of a restored policy is missed. */
static penstock_status Subscribe(gateway_link *this) {
  penstock_status status = this->subscribed ? PENSTOCK_OK : penstock_subscribe(this->client);

  this->subscribed = this->subscribed || status == PENSTOCK_OK;
  return status;
}

static bool Connect(gateway_link *this) {
  if (this->connected) {
    return TRUE;
  }
  if (penstock_client_connect(this->client) != PENSTOCK_OK || Subscribe(this) != PENSTOCK_OK) {
    return FALSE;
  }
  this->connected = TRUE;
  if (InstalledRestore(this->installed, this->client, this->lost) != PENSTOCK_OK) {
    Disconnected(this);
  } else {
    DBG1(DBG_KNL, "connected to the gateway at %s; it has lost %d SAs", this->socket,
         this->lost->get_count(this->lost));
  }
  Wake(this); /* to tell of the lost, and to wait on the new descriptor */
  return this->connected;
}

/* A gateway that restarts is there again after a second or two; one that stays away must not hold
 * up charon's threads with every call. */
static bool ConnectPatiently(gateway_link *this, bool patient) {
  while (!Connect(this)) {
    if (!patient || this->stop ||
        time_monotonic(NULL) > this->unavailable_since + (time_t)this->wait) {
      return FALSE;
    }
    usleep(kRetryMilliseconds * 1000);
  }
  return TRUE;
}

/* True if the call is to be made once more. */
static bool BrokeOnTheWay(gateway_link *this, gateway_call *call) {
  if (call->status != PENSTOCK_UNAVAILABLE) {
    return FALSE;
  }
  Disconnected(this);
  return call->tries < kMostTries;
}

static bool Finish(gateway_link *this, gateway_call *call) {
  if (penstock_has_events(this->client)) {
    Wake(this); /* they came with the answer: the descriptor does not tell */
  }
  /* Before the connection broke, the call had been heard. */
  if (call->status == PENSTOCK_ALREADY_EXISTS && call->tries > 1) {
    call->status = PENSTOCK_OK;
  }
  if (call->status != PENSTOCK_OK && call->status != PENSTOCK_NOT_FOUND) {
    DBG1(DBG_KNL, "%s failed: %s", call->what, penstock_client_error(this->client));
  }
  this->mutex->unlock(this->mutex);
  return FALSE;
}

bool GatewayTry(gateway_link *this, gateway_call *call) {
  if (call->tries == 0) {
    this->mutex->lock(this->mutex);
    call->client = this->client;
    call->installed = this->installed;
  } else if (!BrokeOnTheWay(this, call)) {
    return Finish(this, call);
  }
  if (!ConnectPatiently(this, call->patient)) {
    call->status = PENSTOCK_UNAVAILABLE;
    return Finish(this, call);
  }
  ++call->tries;
  return TRUE;
}

/* Takes out what has happened; it is told without the mutex. */
static void Gather(gateway_link *this, event_list *events) {
  penstock_event event;
  installed_sa *sa;
  int got = 0;

  if (Connect(this)) {
    while ((got = penstock_next_event(this->client, 0, &event)) == 1) {
      EventListAdd(events, &event, this->installed);
    }
  }
  if (got < 0) {
    Disconnected(this);
  }
  while (this->lost->remove_first(this->lost, (void **)&sa) == SUCCESS) {
    EventListAddLost(events, sa);
  }
}

static void WaitForMore(gateway_link *this, int descriptor) {
  struct pollfd watched[] = {
      {.fd = this->wake, .events = POLLIN},
      {.fd = descriptor, .events = POLLIN},
  };
  uint64_t count;

  if (poll(watched, countof(watched), descriptor < 0 ? kRetryMilliseconds : -1) > 0 &&
      (watched[0].revents & POLLIN)) {
    ignore_result(read(this->wake, &count, sizeof(count)));
  }
}

static void *Listen(gateway_link *this) {
  event_list *events = EventListCreate();
  int descriptor;

  while (!this->stop) {
    this->mutex->lock(this->mutex);
    Gather(this, events);
    descriptor = this->connected ? penstock_client_descriptor(this->client) : -1;
    this->mutex->unlock(this->mutex);
    EventListTell(events);
    if (!this->stop) {
      WaitForMore(this, descriptor);
    }
  }
  EventListDestroy(events);
  return NULL;
}

gateway_link *GatewayLinkCreate(void) {
  gateway_link *this;
  uint32_t timeout =
      lib->settings->get_time(lib->settings, "%s.plugins.kernel-penstock.timeout", 10, lib->ns);

  INIT(this, .mutex = mutex_create(MUTEX_TYPE_DEFAULT), .installed = InstalledCreate(),
       .lost = linked_list_create(), .unavailable_since = time_monotonic(NULL),
       .wait =
           lib->settings->get_time(lib->settings, "%s.plugins.kernel-penstock.wait", 10, lib->ns),
       .socket = lib->settings->get_str(lib->settings, "%s.plugins.kernel-penstock.socket",
                                        "/run/penstock/penstock/sa.sock", lib->ns),
       .wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), );
  this->client = penstock_client_new(this->socket, "charon, kernel-penstock", timeout * 1000);
  this->thread = thread_create((thread_main_t)Listen, this);
  return this;
}

void GatewayLinkDestroy(gateway_link *this) {
  this->stop = TRUE;
  Wake(this);
  if (this->thread) {
    this->thread->join(this->thread);
  }
  close(this->wake);
  penstock_client_free(this->client);
  this->lost->destroy_function(this->lost, free);
  InstalledDestroy(this->installed);
  this->mutex->destroy(this->mutex);
  free(this);
}

status_t StatusOf(penstock_status status) {
  switch (status) {
    case PENSTOCK_OK:
      return SUCCESS;
    case PENSTOCK_NOT_FOUND:
      return NOT_FOUND;
    case PENSTOCK_ALREADY_EXISTS:
      return ALREADY_DONE;
    case PENSTOCK_UNSUPPORTED:
      return NOT_SUPPORTED;
    case PENSTOCK_INVALID_ARGUMENT:
      return INVALID_ARG;
    default:
      return FAILED;
  }
}
