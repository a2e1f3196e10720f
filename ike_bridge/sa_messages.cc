#include "ike_bridge/sa_messages.h"

#include <algorithm>
#include <utility>

#include "ike_bridge/sa_fields.h"
#include "ike_bridge/sa_wire.h"

namespace penstock {
namespace {

constexpr int kMostSelectors = 256;  // of one side; IKEv2 itself cannot carry more than 255
constexpr size_t kLongestKey = 256;
constexpr size_t kLongestName = 128;
constexpr uint32_t kLargestReplayWindow = 65536;

template <typename T>
Result<T> Finish(const FieldReader& reader, T value) {
  if (Status status = reader.Finish(); !status) {
    return tl::make_unexpected(status.error());
  }
  return value;
}

std::vector<ike::TrafficSelector> ReadSelectors(
    FieldReader& reader, const std::string& field,
    const google::protobuf::RepeatedPtrField<sa::TrafficSelector>& selectors) {
  std::vector<ike::TrafficSelector> values;
  if (selectors.size() > kMostSelectors) {
    reader.Refuse(
        Errc::kInvalidArgument, field,
        fmt::format("{} selectors; expected at most {}", selectors.size(), kMostSelectors));
    return values;
  }
  for (int i = 0; i < selectors.size(); ++i) {
    values.push_back(reader.Selector(fmt::format("{}[{}]", field, i), selectors[i]));
  }
  return values;
}

ike::SaLifetime ReadLifetime(FieldReader& reader, const sa::Lifetime& lifetime) {
  ike::SaLifetime value;
  value.soft_seconds = reader.Number<uint32_t>("lifetime.time.rekey", lifetime.time().rekey());
  value.hard_seconds = reader.Number<uint32_t>("lifetime.time.life", lifetime.time().life());
  value.soft_bytes = lifetime.bytes().rekey();
  value.hard_bytes = lifetime.bytes().life();
  value.soft_packets = lifetime.packets().rekey();
  value.hard_packets = lifetime.packets().life();
  return value;
}

Secret ReadKey(FieldReader& reader, const char* field, const std::string& bytes) {
  if (bytes.size() > kLongestKey) {
    reader.Refuse(Errc::kInvalidArgument, field,
                  fmt::format("a key of {} bytes; expected at most {}", bytes.size(), kLongestKey));
    return {};
  }
  return Secret(std::string_view(bytes));
}

void ReadAlgorithms(FieldReader& reader, const sa::AddSa& message, ike::AddSa& value) {
  const bool has_numbers =
      message.encryption_algorithm() != 0 || message.integrity_algorithm() != 0;
  if (has_numbers != message.suite().empty()) {
    reader.Refuse(Errc::kInvalidArgument, "suite",
                  has_numbers ? "stands beside transform numbers; expected either, not both"
                              : "is missing; expected a suite's name or encryption_algorithm");
  }
  value.suite = message.suite();
  if (has_numbers) {
    value.encryption =
        reader.Number<uint16_t>("encryption_algorithm", message.encryption_algorithm());
    value.integrity = reader.Number<uint16_t>("integrity_algorithm", message.integrity_algorithm());
  }
  value.encryption_key = ReadKey(reader, "encryption_key", message.encryption_key());
  value.integrity_key = ReadKey(reader, "integrity_key", message.integrity_key());
}

void ReadReplay(FieldReader& reader, const sa::AddSa& message, ike::AddSa& value) {
  value.esn = message.esn();
  value.replay_window = message.replay_window();
  if (value.replay_window != 0 &&
      (value.replay_window < 32 || value.replay_window > kLargestReplayWindow)) {
    reader.Refuse(Errc::kInvalidArgument, "replay_window",
                  fmt::format("{} is out of range; expected 0 (off) or 32 to {}",
                              value.replay_window, kLargestReplayWindow));
  }
  value.initial_sequence =
      reader.Number<uint64_t>("initial_sequence", message.initial_sequence(),
                              message.esn() ? UINT64_MAX : uint64_t{UINT32_MAX});
}

void ReadOuterHeader(FieldReader& reader, const sa::AddSa& message, ike::AddSa& value) {
  value.df = reader.Choice<ike::DfBit>("df", message.df(),
                                       {ike::DfBit::kCopy, ike::DfBit::kSet, ike::DfBit::kClear});
  value.copy_ecn = !message.no_copy_ecn();
  value.copy_dscp = reader.Choice<ike::CopyDscp>("copy_dscp", message.copy_dscp(),
                                                 {ike::CopyDscp::kOutOnly, ike::CopyDscp::kInOnly,
                                                  ike::CopyDscp::kBoth, ike::CopyDscp::kNeither});
  value.dscp = reader.Number<uint8_t>("dscp", message.dscp(), 63);
  value.tfc = message.tfc();
  if (value.tfc > UINT16_MAX && value.tfc != UINT32_MAX) {
    reader.Refuse(Errc::kInvalidArgument, "tfc",
                  fmt::format("{} is no packet's length; expected at most 65535, or 4294967295 for "
                              "the tunnel's MTU",
                              value.tfc));
  }
  value.check_source = message.check_source();
  if (value.check_source && !message.inbound()) {
    reader.Refuse(Errc::kInvalidArgument, "check_source",
                  "is set on an outbound SA; expected it on inbound ones only");
  }
}

// Ports count for nothing without encapsulation: charon passes IKE's own there.
std::pair<uint16_t, uint16_t> ReadPorts(FieldReader& reader, bool encapsulated,
                                        const std::string& source_field, uint32_t source,
                                        const std::string& destination_field,
                                        uint32_t destination) {
  if (!encapsulated) {
    return {0, 0};
  }
  for (const auto& [field, port] :
       {std::pair(source_field, source), std::pair(destination_field, destination)}) {
    if (port == 0) {
      reader.Refuse(Errc::kInvalidArgument, field,
                    "0 is no UDP port; UDP encapsulation needs one, most often 4500");
    }
  }
  return {reader.Number<uint16_t>(source_field, source),
          reader.Number<uint16_t>(destination_field, destination)};
}

void ReadName(FieldReader& reader, const std::string& name, ike::AddSa& value) {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (name.size() > kLongestName || !printable) {
    reader.Refuse(Errc::kInvalidArgument, "name",
                  fmt::format("expected at most {} printable characters", kLongestName));
  }
  value.name = name;
}

Result<ike::AddSa> ReadAddSa(const sa::AddSa& message) {
  FieldReader reader("add_sa");
  ike::AddSa value;
  value.id = reader.Id("id", message.id());
  reader.RequireTunnelMode("mode", message.mode());
  reader.RequireNoIpComp(message.ipcomp(), message.cpi());
  reader.RequireNoMark("set_mark", message.set_mark());
  reader.RequireEmpty("interface", message.interface(),
                      "SAs bound to an interface are not supported; use if_id");
  reader.RequireEmpty("label", message.label(), "security labels are not supported");
  reader.RequireSoftware("hardware_offload", message.hardware_offload());
  ReadName(reader, message.name(), value);
  value.inbound = message.inbound();
  value.update = message.update();
  value.initiator = message.initiator();
  value.reqid = message.reqid();
  ReadAlgorithms(reader, message, value);
  ReadReplay(reader, message, value);
  ReadOuterHeader(reader, message, value);
  value.udp_encapsulation = message.udp_encapsulation();
  std::tie(value.source_port, value.destination_port) =
      ReadPorts(reader, message.udp_encapsulation(), "source_port", message.source_port(),
                "destination_port", message.destination_port());
  value.lifetime = ReadLifetime(reader, message.lifetime());
  value.source_selectors = ReadSelectors(reader, "source_selectors", message.source_selectors());
  value.destination_selectors =
      ReadSelectors(reader, "destination_selectors", message.destination_selectors());
  return Finish(reader, std::move(value));
}

Result<ike::GetSpi> ReadGetSpi(const sa::GetSpi& message) {
  FieldReader reader("get_spi");
  ike::GetSpi value;
  value.source = reader.Address("source", message.source());
  value.destination = reader.Address("destination", message.destination());
  reader.SameFamily("destination", value.source, value.destination);
  reader.RequireEsp("protocol", message.protocol());
  return Finish(reader, value);
}

Result<ike::UpdateSa> ReadUpdateSa(const sa::UpdateSa& message) {
  FieldReader reader("update_sa");
  ike::UpdateSa value;
  value.id = reader.Id("id", message.id());
  reader.RequireNoIpComp(0, message.cpi());
  value.new_source = reader.Address("new_source", message.new_source());
  value.new_destination = reader.Address("new_destination", message.new_destination());
  reader.SameFamily("new_destination", value.new_source, value.new_destination);
  value.udp_encapsulation = message.udp_encapsulation();
  std::tie(value.new_source_port, value.new_destination_port) =
      ReadPorts(reader, message.udp_encapsulation(), "new_source_port", message.new_source_port(),
                "new_destination_port", message.new_destination_port());
  return Finish(reader, value);
}

// QuerySa and DeleteSa.
template <typename Value, typename Message>
Result<Value> ReadSaReference(const char* name, const Message& message) {
  FieldReader reader(name);
  Value value{reader.Id("id", message.id())};
  reader.RequireNoIpComp(0, message.cpi());
  return Finish(reader, value);
}

unsigned ReadPrecedence(FieldReader& reader, sa::PriorityClass priority_class) {
  return reader.Choice<unsigned>("id.priority_class", priority_class, {1, 0, 2, 3});
}

ike::PolicyId ReadPolicyId(FieldReader& reader, const sa::PolicyId& id) {
  ike::PolicyId value;
  value.direction = reader.Choice<ike::Direction>(
      "id.direction", id.direction(),
      {ike::Direction::kIn, ike::Direction::kOut, ike::Direction::kForward}, sa::DIRECTION_IN);
  value.source = reader.Selector("id.source", id.source());
  value.destination = reader.Selector("id.destination", id.destination());
  reader.SameFamily("id.destination", value.source.prefix.address(),
                    value.destination.prefix.address());
  uint8_t& source = value.source.protocol;
  uint8_t& destination = value.destination.protocol;
  if (source != destination && source != 0 && destination != 0) {
    reader.Refuse(
        Errc::kInvalidArgument, "id.destination.protocol",
        fmt::format("{} differs from the source's {}; no packet has both", destination, source));
  }
  source = destination = std::max(source, destination);  // a side that leaves it open follows
  reader.RequireNoMark("id.mark", id.mark());
  reader.RequireEmpty("id.interface", id.interface(),
                      "policies bound to an interface are not supported; use if_id");
  reader.RequireEmpty("id.label", id.label(), "security labels are not supported");
  value.if_id = id.if_id();
  const unsigned precedence = ReadPrecedence(reader, id.priority_class());
  value.priority = id.manual_priority() != 0
                       ? id.manual_priority()
                       : PolicyPriority(precedence, value.source, value.destination);
  return value;
}

ike::PolicyAction ReadAction(FieldReader& reader, sa::PolicyType type) {
  return reader.Choice<ike::PolicyAction>(
      "type", type,
      {ike::PolicyAction::kProtect, ike::PolicyAction::kBypass, ike::PolicyAction::kDiscard});
}

Result<AddPolicyRequest> ReadAddPolicy(const sa::AddPolicy& message) {
  FieldReader reader("add_policy");
  ike::Policy value;
  value.id = ReadPolicyId(reader, message.id());
  value.action = ReadAction(reader, message.type());
  value.source = reader.OptionalAddress("source", message.source());
  value.destination = reader.OptionalAddress("destination", message.destination());
  value.reqid = message.reqid();
  if (value.action == ike::PolicyAction::kProtect) {
    reader.RequireTunnelMode("mode", message.mode());
    reader.RequireEsp("protocol", message.protocol());
    reader.RequireNoIpComp(message.ipcomp(), 0);
  }
  reader.RequireSoftware("hardware_offload", message.hardware_offload());
  return Finish(reader, AddPolicyRequest{value});
}

Result<DeletePolicyRequest> ReadDeletePolicy(const sa::DeletePolicy& message) {
  FieldReader reader("delete_policy");
  ike::Policy value;
  value.id = ReadPolicyId(reader, message.id());
  value.action = ReadAction(reader, message.type());
  value.reqid = message.reqid();
  return Finish(reader, DeletePolicyRequest{value});
}

Result<QueryPolicyRequest> ReadQueryPolicy(const sa::QueryPolicy& message) {
  FieldReader reader("query_policy");
  return Finish(reader, QueryPolicyRequest{ReadPolicyId(reader, message.id())});
}

template <typename T>
Result<SaOperation> AsOperation(Result<T> value) {
  return std::move(value).map([](T&& inner) { return SaOperation(std::move(inner)); });
}

Result<SaOperation> ReadOperation(const sa::Request& request) {
  switch (request.operation_case()) {
    case sa::Request::kGetSpi:
      return AsOperation(ReadGetSpi(request.get_spi()));
    case sa::Request::kAddSa:
      return AsOperation(ReadAddSa(request.add_sa()));
    case sa::Request::kUpdateSa:
      return AsOperation(ReadUpdateSa(request.update_sa()));
    case sa::Request::kQuerySa:
      return AsOperation(ReadSaReference<QuerySaRequest>("query_sa", request.query_sa()));
    case sa::Request::kDeleteSa:
      return AsOperation(ReadSaReference<DeleteSaRequest>("delete_sa", request.delete_sa()));
    case sa::Request::kFlushSas:
      return SaOperation(FlushSasRequest{});
    case sa::Request::kAddPolicy:
      return AsOperation(ReadAddPolicy(request.add_policy()));
    case sa::Request::kDeletePolicy:
      return AsOperation(ReadDeletePolicy(request.delete_policy()));
    case sa::Request::kQueryPolicy:
      return AsOperation(ReadQueryPolicy(request.query_policy()));
    case sa::Request::kFlushPolicies:
      return SaOperation(FlushPoliciesRequest{});
    case sa::Request::kSubscribe:
      return SaOperation(SubscribeRequest{});
    case sa::Request::OPERATION_NOT_SET:
      break;
  }
  return Fail(Errc::kInvalidArgument, "request: no operation is set; expected one like add_sa");
}

Result<SaOperation> ReadMessage(const sa::ClientMessage& message) {
  const std::string unknown = FindUnknownField(message);
  if (!unknown.empty()) {
    return Fail(Errc::kUnsupported, "field {} is unknown to protocol version {}", unknown,
                kSaProtocolVersion);
  }
  if (message.has_hello()) {
    return SaOperation(
        HelloMessage{message.hello().protocol_version(), message.hello().software()});
  }
  if (!message.has_request()) {
    return Fail(Errc::kInvalidArgument, "the message is empty; expected hello or request");
  }
  return ReadOperation(message.request());
}

}  // namespace

Result<SaRequest> ParseSaRequest(std::string_view frame, uint64_t* id) {
  sa::ClientMessage message;
  const bool parsed = message.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
  const uint64_t request_id = message.has_request() ? message.request().id() : 0;
  if (id != nullptr) {
    *id = request_id;
  }
  Result<SaOperation> operation =
      Fail(Errc::kInvalidArgument, "a frame of {} bytes is not a message of this protocol",
           frame.size());
  if (parsed) {
    operation = ReadMessage(message);
  }
  WipeKeys(message);
  return std::move(operation).map([request_id](SaOperation&& value) {
    return SaRequest{request_id, std::move(value)};
  });
}

uint32_t PolicyPriority(unsigned precedence, const ike::TrafficSelector& source,
                        const ike::TrafficSelector& destination) {
  constexpr uint32_t kStep = 100'000;
  const auto restricts_ports = [](const ike::TrafficSelector& selector) {
    return selector.port_first != 0 || selector.port_last != UINT16_MAX;
  };
  const uint32_t narrowness = 4u * (source.prefix.length() + destination.prefix.length()) +
                              (source.protocol != 0 ? 1u : 0u) +
                              (restricts_ports(source) ? 1u : 0u) +
                              (restricts_ports(destination) ? 1u : 0u);
  return (precedence + 1) * kStep - narrowness;
}

}  // namespace penstock
