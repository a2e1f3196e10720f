/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/kernel_penstock_ipsec.h"

#include <daemon.h>
#include <library.h>

#include "ike_bridge/charon/conversions.h"
#include "ike_bridge/charon/gateway_link.h"
#include "ike_bridge/charon/sa_name.h"

enum { kNameSize = 129, kNanosecondsPerSecond = 1000000000, kPortNatT = 4500 };

typedef struct kernel_penstock_ipsec {
  kernel_ipsec_t public;
  gateway_link *link;
  sa_names *names;
} kernel_penstock_ipsec;

/* An outbound SA is used from the moment on when it is there, not when
 * a policy names it: KERNEL_POLICY_SPI is not set, so that charon installs it when it is due. */
METHOD(kernel_ipsec_t, get_features, kernel_feature_t, kernel_penstock_ipsec *this) {
  return KERNEL_ESP_V3_TFC;
}

METHOD(kernel_ipsec_t, get_spi, status_t, kernel_penstock_ipsec *this, host_t *src, host_t *dst,
       uint8_t protocol, uint32_t *spi) {
  gateway_call call = {.what = "reserving an SPI", .patient = TRUE};
  penstock_address source = AddressOf(src), destination = AddressOf(dst);
  uint32_t reserved = 0;

  while (GatewayTry(this->link, &call)) {
    call.status =
        penstock_get_spi(call.client, &source, &destination, ProtocolOf(protocol), &reserved);
  }
  *spi = htonl(reserved);
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, get_cpi, status_t, kernel_penstock_ipsec *this, host_t *src, host_t *dst,
       uint16_t *cpi) {
  DBG1(DBG_KNL, "reserving a CPI failed: the gateway has no IPComp; set ipcomp = no");
  return NOT_SUPPORTED;
}

static bool IsIkev1(void) {
  ike_sa_t *ike_sa = charon->bus->get_sa(charon->bus);

  return ike_sa && ike_sa->get_version(ike_sa) == IKEV1;
}

METHOD(kernel_ipsec_t, add_sa, status_t, kernel_penstock_ipsec *this, kernel_ipsec_sa_id_t *id,
       kernel_ipsec_add_sa_t *data) {
  gateway_call call = {.what = data->inbound ? "adding an inbound SA" : "adding an outbound SA",
                       .patient = TRUE};
  char name[kNameSize];
  penstock_new_sa sa;

  SaNameOf(this->names, id->spi, name, sizeof(name));
  sa = NewSaOf(id, data, name);
  while (GatewayTry(this->link, &call)) {
    call.status = penstock_add_sa(call.client, &sa);
    if (call.status == PENSTOCK_NOT_FOUND && sa.update) {
      /* The gateway that reserved the SPI has been restarted since. */
      sa.update = FALSE;
      call.status = penstock_add_sa(call.client, &sa);
    }
    if (call.status == PENSTOCK_NOT_FOUND) {
      DBG1(DBG_KNL, "%s failed: %s", call.what, penstock_client_error(call.client));
    }
    if (call.status == PENSTOCK_OK) {
      InstalledAddSa(
          call.installed,
          &(installed_sa){
              .id = sa.id, .reqid = data->reqid, .inbound = data->inbound, .ikev1 = IsIkev1()});
    }
  }
  FreeSelectors(&sa);
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, update_sa, status_t, kernel_penstock_ipsec *this, kernel_ipsec_sa_id_t *id,
       kernel_ipsec_update_sa_t *data) {
  gateway_call call = {.what = "moving an SA", .patient = TRUE};
  penstock_moved_sa moved = {
      .id = SaIdOf(id),
      .cpi = data->cpi,
      .new_source = AddressOf(data->new_src),
      .new_destination = AddressOf(data->new_dst),
      .new_source_port = data->new_src->get_port(data->new_src),
      .new_destination_port = data->new_dst->get_port(data->new_dst),
      .udp_encapsulation = data->new_encap,
  };

  if (data->new_reqid) { /* its selectors follow the address: charon rekeys instead */
    DBG1(DBG_KNL, "moving an SA to reqid {%u} is not supported, a new one is negotiated",
         data->new_reqid);
    return NOT_SUPPORTED;
  }
  while (GatewayTry(this->link, &call)) {
    call.status = penstock_update_sa(call.client, &moved);
    if (call.status == PENSTOCK_OK) {
      InstalledMoveSa(call.installed, &moved);
    }
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, query_sa, status_t, kernel_penstock_ipsec *this, kernel_ipsec_sa_id_t *id,
       kernel_ipsec_query_sa_t *data, uint64_t *bytes, uint64_t *packets, time_t *time) {
  gateway_call call = {.what = "querying an SA"};
  penstock_sa_id sa = SaIdOf(id);
  penstock_usage usage = {0};

  while (GatewayTry(this->link, &call)) {
    call.status = penstock_query_sa(call.client, &sa, data->cpi, &usage);
  }
  if (call.status == PENSTOCK_OK) {
    if (bytes) {
      *bytes = usage.bytes;
    }
    if (packets) {
      *packets = usage.packets;
    }
    if (time) { /* charon's monotonic clock is the gateway's */
      *time = usage.last_use_nanoseconds / kNanosecondsPerSecond;
    }
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, del_sa, status_t, kernel_penstock_ipsec *this, kernel_ipsec_sa_id_t *id,
       kernel_ipsec_del_sa_t *data) {
  gateway_call call = {.what = "deleting an SA", .patient = TRUE};
  penstock_sa_id sa = SaIdOf(id);

  while (GatewayTry(this->link, &call)) {
    InstalledRemoveSa(call.installed, &sa);
    call.status = penstock_delete_sa(call.client, &sa, data->cpi);
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, flush_sas, status_t, kernel_penstock_ipsec *this) {
  gateway_call call = {.what = "flushing SAs", .patient = TRUE};

  while (GatewayTry(this->link, &call)) {
    InstalledRemoveSas(call.installed);
    call.status = penstock_flush_sas(call.client);
  }
  return StatusOf(call.status);
}

/* With policies_fwd_out charon also asks for a forward policy of what goes out, which lets it past
 * drop policies. The gateway asks forward policies of what comes in only. */
static bool IsForwardOfOutbound(const penstock_policy *policy) {
  return policy->id.direction == PENSTOCK_FORWARD && policy->action == PENSTOCK_PROTECT &&
         policy->reqid == 0;
}

METHOD(kernel_ipsec_t, add_policy, status_t, kernel_penstock_ipsec *this,
       kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data) {
  gateway_call call = {.what = "adding a policy", .patient = TRUE};
  penstock_policy policy = PolicyOf(id, data);

  if (IsForwardOfOutbound(&policy)) {
    return SUCCESS;
  }
  while (GatewayTry(this->link, &call)) {
    call.status = penstock_add_policy(call.client, &policy);
    if (call.status == PENSTOCK_OK) {
      InstalledAddPolicy(call.installed, &policy);
    }
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, query_policy, status_t, kernel_penstock_ipsec *this,
       kernel_ipsec_policy_id_t *id, kernel_ipsec_query_policy_t *data, time_t *use_time) {
  gateway_call call = {.what = "querying a policy"};
  penstock_policy_id policy = PolicyIdOf(id);
  uint64_t last_use = 0;

  while (GatewayTry(this->link, &call)) {
    call.status = InstalledPriority(call.installed, &policy)
                      ? penstock_query_policy(call.client, &policy, &last_use)
                      : PENSTOCK_NOT_FOUND;
  }
  if (call.status == PENSTOCK_OK && use_time) {
    *use_time = last_use / kNanosecondsPerSecond;
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, del_policy, status_t, kernel_penstock_ipsec *this,
       kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data) {
  gateway_call call = {.what = "deleting a policy", .patient = TRUE};
  penstock_policy policy = PolicyOf(id, data);

  if (IsForwardOfOutbound(&policy)) {
    return SUCCESS;
  }
  while (GatewayTry(this->link, &call)) {
    InstalledRemovePolicy(call.installed, &policy);
    call.status = penstock_delete_policy(call.client, &policy);
  }
  return StatusOf(call.status);
}

METHOD(kernel_ipsec_t, flush_policies, status_t, kernel_penstock_ipsec *this) {
  gateway_call call = {.what = "flushing policies", .patient = TRUE};

  while (GatewayTry(this->link, &call)) {
    InstalledRemovePolicies(call.installed);
    call.status = penstock_flush_policies(call.client);
  }
  return StatusOf(call.status);
}

/* Policies are asked of what the gateway forwards; what Linux sends and gets, IKE too, passes. */
METHOD(kernel_ipsec_t, bypass_socket, bool, kernel_penstock_ipsec *this, int fd, int family) {
  return TRUE;
}

/* The gateway tells ESP from IKE before Linux sees either. */
METHOD(kernel_ipsec_t, enable_udp_decap, bool, kernel_penstock_ipsec *this, int fd, int family,
       uint16_t port) {
  if (port != kPortNatT) {
    DBG1(DBG_KNL, "the gateway takes ESP in UDP port %u if it is in its encapsulation_ports", port);
  }
  return TRUE;
}

METHOD(kernel_ipsec_t, destroy, void, kernel_penstock_ipsec *this) {
  SaNamesDestroy(this->names);
  GatewayLinkDestroy(this->link);
  free(this);
}

kernel_ipsec_t *kernel_penstock_ipsec_create(void) {
  kernel_penstock_ipsec *this;

  INIT(this,
       .public =
           {
               .get_features = _get_features,
               .get_spi = _get_spi,
               .get_cpi = _get_cpi,
               .add_sa = _add_sa,
               .update_sa = _update_sa,
               .query_sa = _query_sa,
               .del_sa = _del_sa,
               .flush_sas = _flush_sas,
               .add_policy = _add_policy,
               .query_policy = _query_policy,
               .del_policy = _del_policy,
               .flush_policies = _flush_policies,
               .bypass_socket = _bypass_socket,
               .enable_udp_decap = _enable_udp_decap,
               .destroy = _destroy,
           },
       .names = SaNamesCreate(), .link = GatewayLinkCreate(), );
  return &this->public;
}
