/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plugin's connection to the gateway: one, under a mutex, for calls and events. It is made
 * again when the gateway has restarted, and then what the gateway lost is restored or told to
 * charon. */
#pragma once

#include "ike_bridge/charon/installed.h"
#include "ike_bridge/client_c.h"

typedef struct gateway_link gateway_link;

/* Reads plugins.kernel-penstock.{socket,timeout,wait}; connects in a thread of its own. */
gateway_link *GatewayLinkCreate(void);
void GatewayLinkDestroy(gateway_link *this);

/* One call, repeated once if the connection breaks meanwhile:
 *
 *   gateway_call call = {.what = "adding an SA", .patient = TRUE};
 *   while (GatewayTry(link, &call)) {
 *     call.status = penstock_...(call.client, ...);
 *     (what must be remembered of a success: call.installed)
 *   }
 *
 * GatewayTry holds the mutex while it returns true. Errors are logged, but for PENSTOCK_NOT_FOUND.
 * A patient call waits for a gateway that is restarting; others fail at once. */
typedef struct gateway_call {
  const char *what;
  bool patient;
  penstock_status status;
  penstock_client *client;
  installed *installed;
  unsigned tries;
} gateway_call;

bool GatewayTry(gateway_link *this, gateway_call *call);

/* The status that charon knows. */
status_t StatusOf(penstock_status status);
