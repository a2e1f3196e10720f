#include "ike_bridge/client_c.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ike_bridge/client.h"

struct penstock_client {
  penstock::SaClient client;
  std::string error;
};

namespace penstock {
namespace {

penstock_status Keep(penstock_client* handle, const Error& error) {
  handle->error = error.message;
  switch (error.code) {
    case Errc::kInvalidArgument:
      return PENSTOCK_INVALID_ARGUMENT;
    case Errc::kNotFound:
      return PENSTOCK_NOT_FOUND;
    case Errc::kAlreadyExists:
      return PENSTOCK_ALREADY_EXISTS;
    case Errc::kUnsupported:
      return PENSTOCK_UNSUPPORTED;
    case Errc::kExhausted:
      return PENSTOCK_EXHAUSTED;
    case Errc::kPermission:
      return PENSTOCK_PERMISSION;
    case Errc::kUnavailable:
      return PENSTOCK_UNAVAILABLE;
    case Errc::kInternal:
      break;
  }
  return PENSTOCK_INTERNAL;
}

template <typename T>
penstock_status Keep(penstock_client* handle, const Result<T>& result) {
  return result ? PENSTOCK_OK : Keep(handle, result.error());
}

// --- plain structs to messages ---

std::string Bytes(const penstock_address& address) {
  const size_t size = std::min<size_t>(address.size, sizeof(address.bytes));
  return {reinterpret_cast<const char*>(address.bytes), size};
}

std::string Bytes(const penstock_bytes& bytes) {
  return bytes.size == 0 ? std::string()
                         : std::string(static_cast<const char*>(bytes.data), bytes.size);
}

std::string Text(const char* text) { return text == nullptr ? std::string() : text; }

void Set(sa::Mark& message, const penstock_mark& mark) {
  message.set_value(mark.value);
  message.set_mask(mark.mask);
}

void Set(sa::Limit& message, const penstock_limit& limit) {
  message.set_life(limit.life);
  message.set_rekey(limit.rekey);
  message.set_jitter(limit.jitter);
}

void Set(sa::TrafficSelector& message, const penstock_selector& selector) {
  message.set_address(Bytes(selector.address));
  message.set_prefix_length(selector.prefix_length);
  message.set_protocol(selector.protocol);
  message.set_first_port(selector.first_port);
  message.set_last_port(selector.last_port);
}

void Set(sa::SaId& message, const penstock_sa_id& id) {
  message.set_source(Bytes(id.source));
  message.set_destination(Bytes(id.destination));
  message.set_spi(id.spi);
  message.set_protocol(static_cast<sa::Protocol>(id.protocol));
  Set(*message.mutable_mark(), id.mark);
  message.set_if_id(id.if_id);
}

void SetKeysAndAlgorithms(sa::AddSa& message, const penstock_new_sa& request) {
  message.set_encryption_algorithm(request.encryption_algorithm);
  message.set_encryption_key(Bytes(request.encryption_key));
  message.set_integrity_algorithm(request.integrity_algorithm);
  message.set_integrity_key(Bytes(request.integrity_key));
}

void SetSelectors(sa::AddSa& message, const penstock_new_sa& request) {
  for (size_t i = 0; i < request.source_selector_count; ++i) {
    Set(*message.add_source_selectors(), request.source_selectors[i]);
  }
  for (size_t i = 0; i < request.destination_selector_count; ++i) {
    Set(*message.add_destination_selectors(), request.destination_selectors[i]);
  }
}

void SetOuterHeader(sa::AddSa& message, const penstock_new_sa& request) {
  message.set_mode(static_cast<sa::Mode>(request.mode));
  message.set_udp_encapsulation(request.udp_encapsulation);
  message.set_source_port(request.source_port);
  message.set_destination_port(request.destination_port);
  message.set_df(request.copy_df ? sa::DF_BIT_COPY : sa::DF_BIT_CLEAR);
  message.set_no_copy_ecn(!request.copy_ecn);
  message.set_copy_dscp(static_cast<sa::CopyDscp>(request.copy_dscp));
  message.set_tfc(request.tfc);
}

void Set(sa::AddSa& message, const penstock_new_sa& request) {
  Set(*message.mutable_id(), request.id);
  message.set_name(Text(request.name));
  message.set_reqid(request.reqid);
  message.set_interface(Text(request.interface));
  Set(*message.mutable_lifetime()->mutable_time(), request.time);
  Set(*message.mutable_lifetime()->mutable_bytes(), request.bytes);
  Set(*message.mutable_lifetime()->mutable_packets(), request.packets);
  SetKeysAndAlgorithms(message, request);
  SetSelectors(message, request);
  SetOuterHeader(message, request);
  message.set_replay_window(request.replay_window);
  message.set_ipcomp(request.ipcomp);
  message.set_cpi(request.cpi);
  message.set_hardware_offload(static_cast<sa::HardwareOffload>(request.hardware_offload));
  Set(*message.mutable_set_mark(), request.set_mark);
  message.set_esn(request.esn);
  message.set_label(Text(request.label));
  message.set_initiator(request.initiator);
  message.set_inbound(request.inbound);
  message.set_update(request.update);
}

void Set(sa::PolicyId& message, const penstock_policy_id& id) {
  message.set_direction(static_cast<sa::Direction>(id.direction));
  Set(*message.mutable_source(), id.source);
  Set(*message.mutable_destination(), id.destination);
  Set(*message.mutable_mark(), id.mark);
  message.set_interface(Text(id.interface));
  message.set_if_id(id.if_id);
  message.set_label(Text(id.label));
  message.set_priority_class(static_cast<sa::PriorityClass>(id.priority_class));
  message.set_manual_priority(id.manual_priority);
}

void Set(sa::AddPolicy& message, const penstock_policy& policy) {
  Set(*message.mutable_id(), policy.id);
  message.set_type(static_cast<sa::PolicyType>(policy.action));
  message.set_source(Bytes(policy.source));
  message.set_destination(Bytes(policy.destination));
  message.set_reqid(policy.reqid);
  message.set_mode(static_cast<sa::Mode>(policy.mode));
  message.set_protocol(static_cast<sa::Protocol>(policy.protocol));
  message.set_spi(policy.spi);
  message.set_ipcomp(policy.ipcomp);
  message.set_hardware_offload(static_cast<sa::HardwareOffload>(policy.hardware_offload));
}

// --- events to plain structs ---

penstock_address Plain(const IpAddress& address) {
  penstock_address plain{};
  plain.size = static_cast<uint8_t>(address.size());
  std::memcpy(plain.bytes, address.data(), address.size());
  return plain;
}

penstock_address PlainOrNone(const IpAddress& address) {
  return address.is_unspecified() ? penstock_address{} : Plain(address);
}

penstock_selector Plain(const ike::TrafficSelector& selector) {
  return {Plain(selector.prefix.address()), selector.prefix.length(), selector.protocol,
          selector.port_first, selector.port_last};
}

penstock_sa_id Plain(const ike::SaId& id) {
  penstock_sa_id plain{};
  plain.source = Plain(id.source);
  plain.destination = Plain(id.destination);
  plain.spi = id.spi;
  plain.if_id = id.if_id;
  return plain;
}

struct ToPlain {
  penstock_event& plain;

  void operator()(const ike::Expire& event) const {
    plain.type = PENSTOCK_EVENT_EXPIRE;
    plain.reqid = event.reqid;
    plain.if_id = event.id.if_id;
    plain.id = Plain(event.id);
    plain.hard = event.hard;
  }
  void operator()(const ike::Acquire& event) const {
    plain.type = PENSTOCK_EVENT_ACQUIRE;
    plain.reqid = event.reqid;
    plain.if_id = event.if_id;
    plain.local = PlainOrNone(event.local);
    plain.remote = PlainOrNone(event.remote);
    plain.source = Plain(event.source);
    plain.destination = Plain(event.destination);
    plain.packet_source = Plain(event.packet_source);
    plain.packet_destination = Plain(event.packet_destination);
  }
  void operator()(const ike::MappingChanged& event) const {
    plain.type = PENSTOCK_EVENT_MAPPING_CHANGED;
    plain.reqid = event.reqid;
    plain.if_id = event.id.if_id;
    plain.id = Plain(event.id);
    plain.new_address = Plain(event.new_address);
    plain.new_port = event.new_port;
  }
};

penstock_status CallFor(penstock_client* handle, sa::Request request) {
  return Keep(handle, handle->client.Call(std::move(request)));
}

}  // namespace
}  // namespace penstock

using penstock::CallFor;
using penstock::Keep;
using penstock::Result;
using penstock::Set;
namespace sa = penstock::sa;

penstock_client* penstock_client_new(const char* path, const char* software, uint32_t timeout_ms) {
  return new penstock_client{penstock::SaClient({.path = penstock::Text(path),
                                                 .software = penstock::Text(software),
                                                 .timeout = std::chrono::milliseconds(timeout_ms)}),
                             {}};
}

void penstock_client_free(penstock_client* client) { delete client; }

penstock_status penstock_client_connect(penstock_client* client) {
  return Keep(client, client->client.Connect());
}

const char* penstock_client_error(const penstock_client* client) { return client->error.c_str(); }

penstock_status penstock_get_spi(penstock_client* client, const penstock_address* source,
                                 const penstock_address* destination, penstock_protocol protocol,
                                 uint32_t* spi) {
  sa::Request request;
  request.mutable_get_spi()->set_source(penstock::Bytes(*source));
  request.mutable_get_spi()->set_destination(penstock::Bytes(*destination));
  request.mutable_get_spi()->set_protocol(static_cast<sa::Protocol>(protocol));
  Result<sa::Reply> reply = client->client.Call(std::move(request));
  if (reply) {
    *spi = reply->spi().spi();
  }
  return Keep(client, reply);
}

penstock_status penstock_add_sa(penstock_client* client, const penstock_new_sa* add) {
  sa::Request request;
  Set(*request.mutable_add_sa(), *add);
  return CallFor(client, std::move(request));
}

penstock_status penstock_update_sa(penstock_client* client, const penstock_moved_sa* update) {
  sa::Request request;
  sa::UpdateSa& message = *request.mutable_update_sa();
  Set(*message.mutable_id(), update->id);
  message.set_cpi(update->cpi);
  message.set_new_source(penstock::Bytes(update->new_source));
  message.set_new_destination(penstock::Bytes(update->new_destination));
  message.set_new_source_port(update->new_source_port);
  message.set_new_destination_port(update->new_destination_port);
  message.set_udp_encapsulation(update->udp_encapsulation);
  return CallFor(client, std::move(request));
}

penstock_status penstock_query_sa(penstock_client* client, const penstock_sa_id* id, uint16_t cpi,
                                  penstock_usage* usage) {
  sa::Request request;
  Set(*request.mutable_query_sa()->mutable_id(), *id);
  request.mutable_query_sa()->set_cpi(cpi);
  Result<sa::Reply> reply = client->client.Call(std::move(request));
  if (reply) {
    *usage = {reply->usage().bytes(), reply->usage().packets(),
              reply->usage().last_use_nanoseconds()};
  }
  return Keep(client, reply);
}

penstock_status penstock_delete_sa(penstock_client* client, const penstock_sa_id* id,
                                   uint16_t cpi) {
  sa::Request request;
  Set(*request.mutable_delete_sa()->mutable_id(), *id);
  request.mutable_delete_sa()->set_cpi(cpi);
  return CallFor(client, std::move(request));
}

penstock_status penstock_flush_sas(penstock_client* client) {
  return Keep(client, client->client.FlushSas());
}

penstock_status penstock_add_policy(penstock_client* client, const penstock_policy* policy) {
  sa::Request request;
  Set(*request.mutable_add_policy(), *policy);
  return CallFor(client, std::move(request));
}

penstock_status penstock_delete_policy(penstock_client* client, const penstock_policy* policy) {
  sa::Request request;
  sa::DeletePolicy& message = *request.mutable_delete_policy();
  Set(*message.mutable_id(), policy->id);
  message.set_type(static_cast<sa::PolicyType>(policy->action));
  message.set_reqid(policy->reqid);
  return CallFor(client, std::move(request));
}

penstock_status penstock_query_policy(penstock_client* client, const penstock_policy_id* id,
                                      uint64_t* last_use_nanoseconds) {
  sa::Request request;
  Set(*request.mutable_query_policy()->mutable_id(), *id);
  Result<sa::Reply> reply = client->client.Call(std::move(request));
  if (reply) {
    *last_use_nanoseconds = reply->policy_usage().last_use_nanoseconds();
  }
  return Keep(client, reply);
}

penstock_status penstock_flush_policies(penstock_client* client) {
  return Keep(client, client->client.FlushPolicies());
}

penstock_status penstock_subscribe(penstock_client* client) {
  return Keep(client, client->client.Subscribe());
}

int penstock_next_event(penstock_client* client, uint32_t timeout_ms, penstock_event* event) {
  if (!client->client.has_events()) {
    if (Result<bool> waited = client->client.WaitForEvent(std::chrono::milliseconds(timeout_ms));
        !waited) {
      return Keep(client, waited);
    }
  }
  std::optional<penstock::SaEvent> next = client->client.NextEvent();
  if (!next) {
    return 0;
  }
  *event = {};
  std::visit(penstock::ToPlain{*event}, *next);
  return 1;
}

bool penstock_has_events(const penstock_client* client) { return client->client.has_events(); }

int penstock_client_descriptor(const penstock_client* client) {
  return client->client.descriptor();
}
