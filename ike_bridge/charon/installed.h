/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What charon has installed in the gateway: asked only when the connection is new, to find what a
 * restarted gateway has lost. Not thread safe; the gateway link's mutex guards it. */
#pragma once

#include <collections/linked_list.h>

#include "ike_bridge/client_c.h"

typedef struct installed_sa {
  penstock_sa_id id;
  uint32_t reqid;
  bool inbound;
  bool ikev1;
} installed_sa;

typedef struct installed {
  linked_list_t *sas;      /* installed_sa */
  linked_list_t *policies; /* installed_policy, in the order in which they came */
} installed;

installed *InstalledCreate(void);
void InstalledDestroy(installed *this);

void InstalledAddSa(installed *this, const installed_sa *sa);
void InstalledMoveSa(installed *this, const penstock_moved_sa *moved);
void InstalledRemoveSa(installed *this, const penstock_sa_id *id);
void InstalledRemoveSas(installed *this);
/* The SA of an event; null if it is not one of ours. */
installed_sa *InstalledFindSa(installed *this, const penstock_sa_id *id);

void InstalledAddPolicy(installed *this, const penstock_policy *policy);
void InstalledRemovePolicy(installed *this, const penstock_policy *policy);
void InstalledRemovePolicies(installed *this);
/* The priority under which a policy of these selectors was added last; false if there is none:
 * charon asks for a policy's use without it. */
bool InstalledPriority(installed *this, penstock_policy_id *id);

/* Compares with the gateway behind a new connection. Policies that it lacks are added again; SAs
 * that it lacks move to `lost` (installed_sa): their keys and counters are gone for good.
 * PENSTOCK_UNAVAILABLE: the connection is gone again. */
penstock_status InstalledRestore(installed *this, penstock_client *client, linked_list_t *lost);
