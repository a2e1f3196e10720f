/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/conversions.h"

#include <library.h>

enum { kSmallestReplayWindow = 32 };

penstock_address AddressOf(host_t *host) {
  penstock_address address = {0};
  if (host && !host->is_anyaddr(host)) {
    chunk_t bytes = host->get_address(host);
    if (bytes.len <= sizeof(address.bytes)) {
      address.size = bytes.len;
      memcpy(address.bytes, bytes.ptr, bytes.len);
    }
  }
  return address;
}

host_t *HostOf(const penstock_address *address, uint16_t port) {
  chunk_t bytes = chunk_create((void *)address->bytes, address->size);
  if (address->size == 0) {
    return NULL;
  }
  return host_create_from_chunk(address->size == 4 ? AF_INET : AF_INET6, bytes, port);
}

penstock_selector SelectorOf(traffic_selector_t *selector) {
  penstock_selector result = {0};
  host_t *network;
  chunk_t bytes;

  selector->to_subnet(selector, &network, &result.prefix_length);
  bytes = network->get_address(network); /* 0.0.0.0 and :: are addresses here */
  result.address.size = bytes.len;
  memcpy(result.address.bytes, bytes.ptr, bytes.len);
  network->destroy(network);
  result.protocol = selector->get_protocol(selector);
  result.first_port = selector->get_from_port(selector);
  result.last_port = selector->get_to_port(selector);
  if (result.first_port > result.last_port) { /* OPAQUE (RFC 7296 3.13.1): no ports to compare */
    result.first_port = 0;
    result.last_port = UINT16_MAX;
  }
  return result;
}

traffic_selector_t *TrafficSelectorOf(const penstock_selector *selector) {
  chunk_t bytes = chunk_create((void *)selector->address.bytes, selector->address.size);
  host_t *network =
      host_create_from_chunk(selector->address.size == 4 ? AF_INET : AF_INET6, bytes, 0);

  /* Takes `network` over. */
  return traffic_selector_create_from_subnet(network, selector->prefix_length, selector->protocol,
                                             selector->first_port, selector->last_port);
}

penstock_protocol ProtocolOf(uint8_t ip_protocol) {
  return ip_protocol == IPPROTO_AH ? PENSTOCK_AH : PENSTOCK_ESP;
}

uint8_t IpProtocolOf(penstock_protocol protocol) {
  return protocol == PENSTOCK_AH ? IPPROTO_AH : IPPROTO_ESP;
}

penstock_mode ModeOf(ipsec_mode_t mode) {
  switch (mode) {
    case MODE_TRANSPORT:
      return PENSTOCK_TRANSPORT;
    case MODE_BEET:
      return PENSTOCK_BEET;
    default:
      return PENSTOCK_TUNNEL;
  }
}

static penstock_direction DirectionOf(policy_dir_t direction) {
  switch (direction) {
    case POLICY_OUT:
      return PENSTOCK_OUT;
    case POLICY_FWD:
      return PENSTOCK_FORWARD;
    default:
      return PENSTOCK_IN;
  }
}

static penstock_action ActionOf(policy_type_t type) {
  switch (type) {
    case POLICY_PASS:
      return PENSTOCK_BYPASS;
    case POLICY_DROP:
      return PENSTOCK_DISCARD;
    default:
      return PENSTOCK_PROTECT;
  }
}

static penstock_priority PriorityOf(policy_priority_t priority) {
  switch (priority) {
    case POLICY_PRIORITY_PASS:
      return PENSTOCK_PRIORITY_PASS;
    case POLICY_PRIORITY_ROUTED:
      return PENSTOCK_PRIORITY_ROUTED;
    case POLICY_PRIORITY_FALLBACK:
      return PENSTOCK_PRIORITY_FALLBACK;
    default:
      return PENSTOCK_PRIORITY_DEFAULT;
  }
}

static penstock_copy_dscp CopyDscpOf(dscp_copy_t copy) {
  switch (copy) {
    case DSCP_COPY_IN_ONLY:
      return PENSTOCK_DSCP_IN_ONLY;
    case DSCP_COPY_YES:
      return PENSTOCK_DSCP_BOTH;
    case DSCP_COPY_NO:
      return PENSTOCK_DSCP_NEITHER;
    default:
      return PENSTOCK_DSCP_OUT_ONLY;
  }
}

static penstock_offload OffloadOf(hw_offload_t offload) {
  switch (offload) {
    case HW_OFFLOAD_YES:
      return PENSTOCK_OFFLOAD_YES;
    case HW_OFFLOAD_AUTO:
      return PENSTOCK_OFFLOAD_AUTO;
    default:
      return PENSTOCK_OFFLOAD_NO;
  }
}

static const char *LabelOf(sec_label_t *label) { return label ? label->get_string(label) : NULL; }

penstock_sa_id SaIdOf(const kernel_ipsec_sa_id_t *id) {
  penstock_sa_id result = {
      .source = AddressOf(id->src),
      .destination = AddressOf(id->dst),
      .spi = ntohl(id->spi),
      .protocol = ProtocolOf(id->proto),
      .mark = {id->mark.value, id->mark.mask},
      .if_id = id->if_id,
  };
  return result;
}

penstock_policy_id PolicyIdOf(const kernel_ipsec_policy_id_t *id) {
  penstock_policy_id result = {
      .direction = DirectionOf(id->dir),
      .source = SelectorOf(id->src_ts),
      .destination = SelectorOf(id->dst_ts),
      .mark = {id->mark.value, id->mark.mask},
      .interface = id->interface,
      .if_id = id->if_id,
      .label = LabelOf(id->label),
  };
  return result;
}

penstock_policy PolicyOf(const kernel_ipsec_policy_id_t *id,
                         const kernel_ipsec_manage_policy_t *data) {
  penstock_policy policy = {
      .id = PolicyIdOf(id),
      .action = ActionOf(data->type),
      .source = AddressOf(data->src),
      .destination = AddressOf(data->dst),
  };
  policy.id.priority_class = PriorityOf(data->prio);
  policy.id.manual_priority = data->manual_prio;
  if (data->sa) {
    policy.reqid = data->sa->reqid;
    policy.mode = ModeOf(data->sa->mode);
    policy.protocol = data->sa->ah.use ? PENSTOCK_AH : PENSTOCK_ESP;
    policy.spi = ntohl(data->sa->ah.use ? data->sa->ah.spi : data->sa->esp.spi);
    policy.ipcomp = data->sa->ipcomp.transform;
  }
  return policy;
}

static penstock_selector *SelectorsOf(linked_list_t *list, size_t *count) {
  traffic_selector_t *selector;
  enumerator_t *enumerator;
  penstock_selector *result = calloc(list->get_count(list) + 1, sizeof(*result));

  *count = 0;
  enumerator = list->create_enumerator(list);
  while (enumerator->enumerate(enumerator, &selector)) {
    result[(*count)++] = SelectorOf(selector);
  }
  enumerator->destroy(enumerator);
  return result;
}

penstock_new_sa NewSaOf(const kernel_ipsec_sa_id_t *id, const kernel_ipsec_add_sa_t *data,
                        const char *name) {
  const lifetime_cfg_t *lifetime = data->lifetime;
  penstock_new_sa sa = {
      .id = SaIdOf(id),
      .name = name,
      .reqid = data->reqid,
      .mode = ModeOf(data->mode),
      .interface = data->interface,
      .time = {lifetime->time.life, lifetime->time.rekey, lifetime->time.jitter},
      .bytes = {lifetime->bytes.life, lifetime->bytes.rekey, lifetime->bytes.jitter},
      .packets = {lifetime->packets.life, lifetime->packets.rekey, lifetime->packets.jitter},
      .encryption_algorithm = data->enc_alg,
      .encryption_key = {data->enc_key.ptr, data->enc_key.len},
      .integrity_algorithm = data->int_alg,
      .integrity_key = {data->int_key.ptr, data->int_key.len},
      .replay_window = data->replay_window,
      .tfc = data->tfc,
      .ipcomp = data->ipcomp,
      .cpi = data->ipcomp ? data->cpi : 0,
      .udp_encapsulation = data->encap,
      .source_port = id->src->get_port(id->src),
      .destination_port = id->dst->get_port(id->dst),
      .hardware_offload = OffloadOf(data->hw_offload),
      .set_mark = {data->mark.value, data->mark.mask},
      .esn = data->esn,
      .copy_df = data->copy_df,
      .copy_ecn = data->copy_ecn,
      .copy_dscp = CopyDscpOf(data->copy_dscp),
      .label = LabelOf(data->label),
      .initiator = data->initiator,
      .inbound = data->inbound,
      .update = data->update,
  };
  if (sa.replay_window != 0 && sa.replay_window < kSmallestReplayWindow) {
    sa.replay_window = kSmallestReplayWindow; /* a wider window accepts all that was asked for */
  }
  sa.source_selectors = SelectorsOf(data->src_ts, &sa.source_selector_count);
  sa.destination_selectors = SelectorsOf(data->dst_ts, &sa.destination_selector_count);
  return sa;
}

void FreeSelectors(penstock_new_sa *sa) {
  free((void *)sa->source_selectors);
  free((void *)sa->destination_selectors);
}
