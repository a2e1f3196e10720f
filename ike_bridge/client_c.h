/* The C face of the SA socket's client library, for the IKE daemon's plugin. Structs are plain;
 * what they point to stays the caller's and is not kept. Zero a struct before filling it in. All
 * numbers, SPIs and ports too, are in host byte order; addresses in network order.
 *
 * A handle may be used by one thread at a time. A plugin takes two: one for its calls, under a
 * mutex, and one that subscribes, in a thread that waits for events. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#else
#include <stdbool.h>
#endif

typedef struct penstock_client penstock_client;

/* What calls return. penstock_client_error has the sentence that goes with it. */
typedef enum penstock_status {
  PENSTOCK_OK = 0,
  PENSTOCK_INVALID_ARGUMENT = -1,
  PENSTOCK_NOT_FOUND = -2,
  PENSTOCK_ALREADY_EXISTS = -3,
  PENSTOCK_UNSUPPORTED = -4,
  PENSTOCK_EXHAUSTED = -5,
  PENSTOCK_PERMISSION = -6,
  PENSTOCK_UNAVAILABLE = -7, /* no connection: call penstock_client_connect again */
  PENSTOCK_INTERNAL = -8
} penstock_status;

/* The values are those of the enums in sa_api.proto. */
typedef enum { PENSTOCK_ESP = 0, PENSTOCK_AH = 1 } penstock_protocol;
typedef enum { PENSTOCK_TUNNEL = 0, PENSTOCK_TRANSPORT = 1, PENSTOCK_BEET = 2 } penstock_mode;
typedef enum { PENSTOCK_IN = 1, PENSTOCK_OUT = 2, PENSTOCK_FORWARD = 3 } penstock_direction;
typedef enum { PENSTOCK_PROTECT = 0, PENSTOCK_BYPASS = 1, PENSTOCK_DISCARD = 2 } penstock_action;
typedef enum {
  PENSTOCK_OFFLOAD_NO = 0,
  PENSTOCK_OFFLOAD_YES = 1,
  PENSTOCK_OFFLOAD_AUTO = 2
} penstock_offload;
typedef enum {
  PENSTOCK_PRIORITY_DEFAULT = 0,
  PENSTOCK_PRIORITY_PASS = 1,
  PENSTOCK_PRIORITY_ROUTED = 2,
  PENSTOCK_PRIORITY_FALLBACK = 3
} penstock_priority;
typedef enum {
  PENSTOCK_DSCP_OUT_ONLY = 0,
  PENSTOCK_DSCP_IN_ONLY = 1,
  PENSTOCK_DSCP_BOTH = 2,
  PENSTOCK_DSCP_NEITHER = 3
} penstock_copy_dscp;

typedef struct penstock_address {
  uint8_t size; /* 4, 16, or 0: none */
  uint8_t bytes[16];
} penstock_address;

typedef struct penstock_selector {
  penstock_address address; /* host bits zero */
  uint8_t prefix_length;
  uint8_t protocol;               /* 0: any */
  uint16_t first_port, last_port; /* 0 and 65535: any */
} penstock_selector;

typedef struct penstock_mark {
  uint32_t value, mask;
} penstock_mark;

typedef struct penstock_bytes {
  const void* data;
  size_t size;
} penstock_bytes;

typedef struct penstock_limit {
  uint64_t life, rekey, jitter; /* 0: no limit */
} penstock_limit;

typedef struct penstock_sa_id {
  penstock_address source, destination;
  uint32_t spi;
  penstock_protocol protocol;
  penstock_mark mark;
  uint32_t if_id;
} penstock_sa_id;

typedef struct penstock_new_sa {
  penstock_sa_id id;
  const char* name; /* texts may be null */
  uint32_t reqid;
  penstock_mode mode;
  const penstock_selector* source_selectors;
  size_t source_selector_count;
  const penstock_selector* destination_selectors;
  size_t destination_selector_count;
  const char* interface;
  penstock_limit time, bytes, packets; /* time in seconds */
  uint16_t encryption_algorithm;       /* IKEv2 transform numbers */
  penstock_bytes encryption_key;       /* an AEAD key ends with its salt */
  uint16_t integrity_algorithm;
  penstock_bytes integrity_key;
  uint32_t replay_window;
  uint32_t tfc;
  uint16_t ipcomp, cpi;
  bool udp_encapsulation;
  uint16_t source_port, destination_port;
  penstock_offload hardware_offload;
  penstock_mark set_mark;
  bool esn;
  bool copy_df, copy_ecn; /* copy_df false: clear */
  penstock_copy_dscp copy_dscp;
  const char* label;
  bool initiator, inbound, update;
} penstock_new_sa;

typedef struct penstock_moved_sa {
  penstock_sa_id id;
  uint16_t cpi;
  penstock_address new_source, new_destination;
  uint16_t new_source_port, new_destination_port;
  bool udp_encapsulation;
} penstock_moved_sa;

typedef struct penstock_usage {
  uint64_t bytes, packets;
  uint64_t last_use_nanoseconds; /* CLOCK_MONOTONIC; 0: never */
} penstock_usage;

typedef struct penstock_policy_id {
  penstock_direction direction;
  penstock_selector source, destination;
  penstock_mark mark;
  const char* interface;
  uint32_t if_id;
  const char* label;
  penstock_priority priority_class;
  uint32_t manual_priority; /* 0: from class and selectors */
} penstock_policy_id;

typedef struct penstock_policy {
  penstock_policy_id id;
  penstock_action action;
  penstock_address source, destination; /* outer */
  uint32_t reqid;
  uint32_t spi;
  penstock_mode mode;
  penstock_protocol protocol;
  uint16_t ipcomp;
  penstock_offload hardware_offload;
} penstock_policy;

typedef enum {
  PENSTOCK_EVENT_EXPIRE = 1,
  PENSTOCK_EVENT_ACQUIRE = 2,
  PENSTOCK_EVENT_MAPPING_CHANGED = 3
} penstock_event_type;

typedef struct penstock_event {
  penstock_event_type type;
  uint32_t reqid;
  uint32_t if_id;
  penstock_sa_id id;                     /* expire, mapping changed */
  bool hard;                             /* expire */
  penstock_address local, remote;        /* acquire: outer, or none */
  penstock_selector source, destination; /* acquire: of the policy */
  penstock_selector packet_source, packet_destination;
  penstock_address new_address; /* mapping changed */
  uint16_t new_port;
} penstock_event;

/* Does not connect yet. `software` tells the daemon who we are. `timeout_ms` bounds each call. */
penstock_client* penstock_client_new(const char* path, const char* software, uint32_t timeout_ms);
void penstock_client_free(penstock_client* client); /* null is fine */

/* Also after PENSTOCK_UNAVAILABLE; a subscription is renewed. */
penstock_status penstock_client_connect(penstock_client* client);
/* What went wrong last; valid until the next call with this handle. */
const char* penstock_client_error(const penstock_client* client);

penstock_status penstock_get_spi(penstock_client* client, const penstock_address* source,
                                 const penstock_address* destination, penstock_protocol protocol,
                                 uint32_t* spi);
penstock_status penstock_add_sa(penstock_client* client, const penstock_new_sa* request);
penstock_status penstock_update_sa(penstock_client* client, const penstock_moved_sa* request);
penstock_status penstock_query_sa(penstock_client* client, const penstock_sa_id* id, uint16_t cpi,
                                  penstock_usage* usage);
penstock_status penstock_delete_sa(penstock_client* client, const penstock_sa_id* id, uint16_t cpi);
penstock_status penstock_flush_sas(penstock_client* client);
penstock_status penstock_add_policy(penstock_client* client, const penstock_policy* policy);
penstock_status penstock_delete_policy(penstock_client* client, const penstock_policy* policy);
penstock_status penstock_query_policy(penstock_client* client, const penstock_policy_id* id,
                                      uint64_t* last_use_nanoseconds);
penstock_status penstock_flush_policies(penstock_client* client);

penstock_status penstock_subscribe(penstock_client* client);
/* Waits at most `timeout_ms` for one event. Returns 1 with it, 0 without, or a penstock_status. */
int penstock_next_event(penstock_client* client, uint32_t timeout_ms, penstock_event* event);
/* Whether events have come with an answer: the descriptor does not tell of those. */
bool penstock_has_events(const penstock_client* client);
/* For poll(2); -1 without a connection. Call penstock_next_event until it returns 0 before waiting.
 */
int penstock_client_descriptor(const penstock_client* client);

#ifdef __cplusplus
}
#endif
