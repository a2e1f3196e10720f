/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the gateway tells, on its way to charon. */
#pragma once

#include "ike_bridge/charon/installed.h"
#include "ike_bridge/client_c.h"

typedef struct event_list event_list;

event_list *EventListCreate(void);
void EventListDestroy(event_list *this);

/* Events of SAs that are not in `installed` are left out: others may use the gateway too. */
void EventListAdd(event_list *this, const penstock_event *event, installed *installed);
/* An SA that a restarted gateway does not have; `sa` is freed. */
void EventListAddLost(event_list *this, installed_sa *sa);
/* Tells charon of all, and forgets them. */
void EventListTell(event_list *this);
