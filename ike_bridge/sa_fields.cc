#include "ike_bridge/sa_fields.h"

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

namespace penstock {

Status FieldReader::Finish() const {
  if (error_) {
    return tl::make_unexpected(*error_);
  }
  return {};
}

void FieldReader::Refuse(Errc code, const std::string& field, const std::string& text) {
  if (!error_) {
    error_ = Error{code, fmt::format("{}.{}: {}", message_, field, text)};
  }
}

void FieldReader::RequireEsp(const std::string& field, sa::Protocol protocol) {
  if (protocol != sa::PROTOCOL_ESP) {
    Refuse(Errc::kUnsupported, field,
           fmt::format("{} is not supported; expected ESP",
                       protocol == sa::PROTOCOL_AH ? "AH" : std::to_string(protocol)));
  }
}

void FieldReader::RequireTunnelMode(const std::string& field, sa::Mode mode) {
  if (mode != sa::MODE_TUNNEL) {
    const std::string name = mode == sa::MODE_TRANSPORT ? "transport mode"
                             : mode == sa::MODE_BEET    ? "BEET mode"
                                                        : "mode " + std::to_string(mode);
    Refuse(Errc::kUnsupported, field, name + " is not supported; expected tunnel mode");
  }
}

void FieldReader::RequireNoMark(const std::string& field, const sa::Mark& mark) {
  if (mark.value() != 0 || mark.mask() != 0) {
    Refuse(Errc::kUnsupported, field,
           fmt::format("mark {:#x}/{:#x} is not supported; use if_id to tell SAs apart",
                       mark.value(), mark.mask()));
  }
}

void FieldReader::RequireNoIpComp(uint32_t ipcomp, uint32_t cpi) {
  if (ipcomp != 0) {
    Refuse(Errc::kUnsupported, "ipcomp",
           fmt::format("IPComp transform {} is not supported; expected 0", ipcomp));
  }
  if (cpi != 0) {
    Refuse(Errc::kUnsupported, "cpi",
           fmt::format("{:#06x} belongs to IPComp, which is not supported; expected 0", cpi));
  }
}

void FieldReader::RequireEmpty(const std::string& field, const std::string& text, const char* why) {
  if (!text.empty()) {
    Refuse(Errc::kUnsupported, field, fmt::format("\"{}\": {}", text, why));
  }
}

void FieldReader::RequireSoftware(const std::string& field, sa::HardwareOffload offload) {
  if (offload != sa::HARDWARE_OFFLOAD_NO && offload != sa::HARDWARE_OFFLOAD_AUTO) {
    Refuse(Errc::kUnsupported, field, "offload to a device is not supported; expected no or auto");
  }
}

IpAddress FieldReader::Address(const std::string& field, const std::string& bytes) {
  const IpAddress address = OptionalAddress(field, bytes);
  if (bytes.empty()) {
    Refuse(Errc::kInvalidArgument, field, "is missing; expected an address of 4 or 16 bytes");
  } else if (address.is_unspecified()) {
    Refuse(Errc::kInvalidArgument, field,
           address.ToString() + " is no host's address; expected one");
  }
  return address;
}

IpAddress FieldReader::OptionalAddress(const std::string& field, const std::string& bytes) {
  if (bytes.empty()) {
    return {};
  }
  Result<IpAddress> address = IpAddress::FromBytes(bytes);
  if (!address) {
    Refuse(address.error().code, field, address.error().message);
    return {};
  }
  return *address;
}

void FieldReader::SameFamily(const std::string& field, const IpAddress& first,
                             const IpAddress& second) {
  if (first.family() != second.family()) {
    Refuse(Errc::kInvalidArgument, field,
           fmt::format("{} and {} are of different families; expected both IPv4 or both IPv6",
                       first.ToString(), second.ToString()));
  }
}

ike::TrafficSelector FieldReader::Selector(const std::string& field,
                                           const sa::TrafficSelector& selector) {
  ike::TrafficSelector value;
  if (selector.address().empty()) {
    Refuse(Errc::kInvalidArgument, field + ".address",
           "is missing; expected 4 or 16 bytes, zeros for every address");
    return value;
  }
  const IpAddress address = OptionalAddress(field + ".address", selector.address());
  const auto length = Number<uint8_t>(field + ".prefix_length", selector.prefix_length(),
                                      address.max_prefix_length());
  value.prefix = Prefix(address, length);
  if (value.prefix.address() != address) {
    Refuse(Errc::kInvalidArgument, field,
           fmt::format("{}/{} has host bits set; did you mean {}", address.ToString(), length,
                       value.prefix.ToString()));
  }
  value.protocol = Number<uint8_t>(field + ".protocol", selector.protocol());
  value.port_first = Number<uint16_t>(field + ".first_port", selector.first_port());
  value.port_last = selector.has_last_port()
                        ? Number<uint16_t>(field + ".last_port", selector.last_port())
                        : uint16_t{UINT16_MAX};
  if (value.port_first > value.port_last) {
    // RFC 7296 3.13.1: 65535 to 0 is OPAQUE, packets without visible ports only.
    Refuse(Errc::kUnsupported, field,
           fmt::format("ports {} to {} are not a range; OPAQUE ports are not supported",
                       value.port_first, value.port_last));
  }
  return value;
}

ike::SaId FieldReader::Id(const std::string& field, const sa::SaId& id) {
  ike::SaId value;
  value.source = Address(field + ".source", id.source());
  value.destination = Address(field + ".destination", id.destination());
  SameFamily(field, value.source, value.destination);
  RequireEsp(field + ".protocol", id.protocol());
  RequireNoMark(field + ".mark", id.mark());
  value.spi = id.spi();
  value.if_id = id.if_id();
  if (value.spi < 256) {  // RFC 4303 2.1
    Refuse(Errc::kInvalidArgument, field + ".spi",
           fmt::format("{} is reserved; expected 256 or more", value.spi));
  }
  return value;
}

std::string FindUnknownField(const google::protobuf::Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const google::protobuf::UnknownFieldSet& unknown = reflection.GetUnknownFields(message);
  if (!unknown.empty()) {
    return fmt::format("number {} of {}", unknown.field(0).number(),
                       message.GetDescriptor()->name());
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string found =
          FindUnknownField(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                : reflection.GetMessage(message, field));
      if (!found.empty()) {
        return found;
      }
    }
  }
  return {};
}

}  // namespace penstock
