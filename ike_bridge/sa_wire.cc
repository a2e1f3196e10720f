#include "ike_bridge/sa_wire.h"

#include <utility>

#include "ike_bridge/sa_fields.h"

namespace penstock {
namespace {

std::string OptionalBytes(const IpAddress& address) {
  return address.is_unspecified() ? std::string() : address.ToBytes();
}

std::string KeyBytes(const Secret& key) {
  return {reinterpret_cast<const char*>(key.bytes().data()), key.size()};
}

void SetLimit(sa::Limit& limit, uint64_t soft, uint64_t hard) {
  limit.set_rekey(soft);
  limit.set_life(hard);
}

sa::TrafficSelector ToMessage(const ike::TrafficSelector& selector) {
  sa::TrafficSelector message;
  message.set_address(selector.prefix.address().ToBytes());
  message.set_prefix_length(selector.prefix.length());
  message.set_protocol(selector.protocol);
  message.set_first_port(selector.port_first);
  message.set_last_port(selector.port_last);
  return message;
}

void SetOuterHeader(sa::AddSa& message, const ike::AddSa& request) {
  message.set_udp_encapsulation(request.udp_encapsulation);
  message.set_source_port(request.source_port);
  message.set_destination_port(request.destination_port);
  message.set_check_source(request.check_source);
  message.set_tfc(request.tfc);
  message.set_df(static_cast<sa::DfBit>(request.df));
  message.set_no_copy_ecn(!request.copy_ecn);
  message.set_copy_dscp(static_cast<sa::CopyDscp>(request.copy_dscp));
  message.set_dscp(request.dscp);
}

void SetAlgorithms(sa::AddSa& message, const ike::AddSa& request) {
  message.set_suite(request.suite);
  if (request.suite.empty()) {
    message.set_encryption_algorithm(request.encryption);
    message.set_integrity_algorithm(request.integrity);
  }
  message.set_encryption_key(KeyBytes(request.encryption_key));
  message.set_integrity_key(KeyBytes(request.integrity_key));
}

Result<SaEvent> ReadExpire(const sa::Expire& message) {
  FieldReader reader("expire");
  ike::Expire event;
  event.id = reader.Id("id", message.id());
  event.reqid = message.reqid();
  event.hard = message.hard();
  event.reason =
      reader.Choice<ike::ExpireReason>("reason", message.reason(),
                                       {ike::ExpireReason::kTime, ike::ExpireReason::kBytes,
                                        ike::ExpireReason::kPackets, ike::ExpireReason::kSequence});
  return reader.Finish().map([&event] { return SaEvent(event); });
}

Result<SaEvent> ReadAcquire(const sa::Acquire& message) {
  FieldReader reader("acquire");
  ike::Acquire event;
  event.reqid = message.reqid();
  event.if_id = message.if_id();
  event.local = reader.OptionalAddress("local", message.local());
  event.remote = reader.OptionalAddress("remote", message.remote());
  event.source = reader.Selector("source", message.source());
  event.destination = reader.Selector("destination", message.destination());
  event.packet_source = reader.Selector("packet_source", message.packet_source());
  event.packet_destination = reader.Selector("packet_destination", message.packet_destination());
  return reader.Finish().map([&event] { return SaEvent(event); });
}

Result<SaEvent> ReadMappingChanged(const sa::MappingChanged& message) {
  FieldReader reader("mapping_changed");
  ike::MappingChanged event;
  event.id = reader.Id("id", message.id());
  event.reqid = message.reqid();
  event.new_address = reader.Address("new_address", message.new_address());
  event.new_port = reader.Number<uint16_t>("new_port", message.new_port());
  return reader.Finish().map([&event] { return SaEvent(event); });
}

}  // namespace

sa::SaId ToMessage(const ike::SaId& id) {
  sa::SaId message;
  message.set_source(id.source.ToBytes());
  message.set_destination(id.destination.ToBytes());
  message.set_spi(id.spi);
  message.set_if_id(id.if_id);
  return message;
}

sa::PolicyId ToMessage(const ike::PolicyId& id) {
  sa::PolicyId message;
  message.set_direction(static_cast<sa::Direction>(static_cast<int>(id.direction) + 1));
  *message.mutable_source() = ToMessage(id.source);
  *message.mutable_destination() = ToMessage(id.destination);
  message.set_if_id(id.if_id);
  message.set_manual_priority(id.priority);
  return message;
}

sa::GetSpi ToMessage(const ike::GetSpi& request) {
  sa::GetSpi message;
  message.set_source(request.source.ToBytes());
  message.set_destination(request.destination.ToBytes());
  return message;
}

sa::AddSa ToMessage(const ike::AddSa& request) {
  sa::AddSa message;
  *message.mutable_id() = ToMessage(request.id);
  message.set_name(request.name);
  message.set_inbound(request.inbound);
  message.set_update(request.update);
  message.set_initiator(request.initiator);
  message.set_reqid(request.reqid);
  SetAlgorithms(message, request);
  message.set_esn(request.esn);
  message.set_replay_window(request.replay_window);
  message.set_initial_sequence(request.initial_sequence);
  SetOuterHeader(message, request);
  const ike::SaLifetime& lifetime = request.lifetime;
  SetLimit(*message.mutable_lifetime()->mutable_time(), lifetime.soft_seconds,
           lifetime.hard_seconds);
  SetLimit(*message.mutable_lifetime()->mutable_bytes(), lifetime.soft_bytes, lifetime.hard_bytes);
  SetLimit(*message.mutable_lifetime()->mutable_packets(), lifetime.soft_packets,
           lifetime.hard_packets);
  for (const ike::TrafficSelector& selector : request.source_selectors) {
    *message.add_source_selectors() = ToMessage(selector);
  }
  for (const ike::TrafficSelector& selector : request.destination_selectors) {
    *message.add_destination_selectors() = ToMessage(selector);
  }
  return message;
}

sa::UpdateSa ToMessage(const ike::UpdateSa& request) {
  sa::UpdateSa message;
  *message.mutable_id() = ToMessage(request.id);
  message.set_new_source(request.new_source.ToBytes());
  message.set_new_destination(request.new_destination.ToBytes());
  message.set_new_source_port(request.new_source_port);
  message.set_new_destination_port(request.new_destination_port);
  message.set_udp_encapsulation(request.udp_encapsulation);
  return message;
}

sa::AddPolicy ToMessage(const ike::Policy& policy) {
  sa::AddPolicy message;
  *message.mutable_id() = ToMessage(policy.id);
  message.set_type(static_cast<sa::PolicyType>(policy.action));
  message.set_source(OptionalBytes(policy.source));
  message.set_destination(OptionalBytes(policy.destination));
  message.set_reqid(policy.reqid);
  return message;
}

sa::Event ToMessage(const ike::Expire& event) {
  sa::Event message;
  sa::Expire& expire = *message.mutable_expire();
  *expire.mutable_id() = ToMessage(event.id);
  expire.set_reqid(event.reqid);
  expire.set_hard(event.hard);
  expire.set_reason(static_cast<sa::ExpireReason>(event.reason));
  return message;
}

sa::Event ToMessage(const ike::Acquire& event) {
  sa::Event message;
  sa::Acquire& acquire = *message.mutable_acquire();
  acquire.set_reqid(event.reqid);
  acquire.set_if_id(event.if_id);
  acquire.set_local(OptionalBytes(event.local));
  acquire.set_remote(OptionalBytes(event.remote));
  *acquire.mutable_source() = ToMessage(event.source);
  *acquire.mutable_destination() = ToMessage(event.destination);
  *acquire.mutable_packet_source() = ToMessage(event.packet_source);
  *acquire.mutable_packet_destination() = ToMessage(event.packet_destination);
  return message;
}

sa::Event ToMessage(const ike::MappingChanged& event) {
  sa::Event message;
  sa::MappingChanged& mapping = *message.mutable_mapping_changed();
  *mapping.mutable_id() = ToMessage(event.id);
  mapping.set_reqid(event.reqid);
  mapping.set_new_address(event.new_address.ToBytes());
  mapping.set_new_port(event.new_port);
  return message;
}

Result<SaEvent> FromMessage(const sa::Event& event) {
  switch (event.content_case()) {
    case sa::Event::kExpire:
      return ReadExpire(event.expire());
    case sa::Event::kAcquire:
      return ReadAcquire(event.acquire());
    case sa::Event::kMappingChanged:
      return ReadMappingChanged(event.mapping_changed());
    case sa::Event::CONTENT_NOT_SET:
      break;
  }
  return Fail(Errc::kUnsupported, "the daemon sent an event that this client does not know");
}

void WipeKeys(sa::AddSa& message) {
  for (std::string* key : {message.mutable_encryption_key(), message.mutable_integrity_key()}) {
    WipeMemory(key->data(), key->size());
  }
}

void WipeKeys(sa::ClientMessage& message) {
  if (message.has_request() && message.request().has_add_sa()) {
    WipeKeys(*message.mutable_request()->mutable_add_sa());
  }
}

}  // namespace penstock
