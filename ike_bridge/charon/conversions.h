/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charon's values as the SA socket's plain structs, and back. */
#pragma once

#include <kernel/kernel_ipsec.h>
#include <selectors/traffic_selector.h>

#include "ike_bridge/client_c.h"

penstock_address AddressOf(host_t *host); /* null and %any: none */
/* Null if there is no address. The caller destroys it. */
host_t *HostOf(const penstock_address *address, uint16_t port);

/* The smallest prefix that holds the selector's range, as Linux has it. */
penstock_selector SelectorOf(traffic_selector_t *selector);
traffic_selector_t *TrafficSelectorOf(const penstock_selector *selector);

penstock_protocol ProtocolOf(uint8_t ip_protocol);
uint8_t IpProtocolOf(penstock_protocol protocol);
penstock_mode ModeOf(ipsec_mode_t mode);

penstock_sa_id SaIdOf(const kernel_ipsec_sa_id_t *id);
/* Texts are the caller's. */
penstock_policy_id PolicyIdOf(const kernel_ipsec_policy_id_t *id);
penstock_policy PolicyOf(const kernel_ipsec_policy_id_t *id,
                         const kernel_ipsec_manage_policy_t *data);

/* The selector lists in `sa` are allocated: FreeSelectors. `name` and all texts are the caller's.
 */
penstock_new_sa NewSaOf(const kernel_ipsec_sa_id_t *id, const kernel_ipsec_add_sa_t *data,
                        const char *name);
void FreeSelectors(penstock_new_sa *sa);
