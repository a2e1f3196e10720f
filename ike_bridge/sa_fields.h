// Reads single fields of the SA socket's messages into values, and says precisely what is wrong
// with one that cannot be honoured.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "ike_bridge/sa_change.h"
#include "sa_api.pb.h"

namespace penstock {

// Goes through the fields of one message and keeps the first error; what is read after one is of no
// use. Ask Finish before using anything.
class FieldReader {
 public:
  // `message` is put in front of field names: "add_sa".
  explicit FieldReader(std::string message) : message_(std::move(message)) {}

  Status Finish() const;
  // Keeps "add_sa.field: " + text unless there is an error already.
  void Refuse(Errc code, const std::string& field, const std::string& text);

  // Refusals of what this gateway does not do.
  void RequireEsp(const std::string& field, sa::Protocol protocol);
  void RequireTunnelMode(const std::string& field, sa::Mode mode);
  void RequireNoMark(const std::string& field, const sa::Mark& mark);
  void RequireNoIpComp(uint32_t ipcomp, uint32_t cpi);
  void RequireEmpty(const std::string& field, const std::string& text, const char* why);
  void RequireSoftware(const std::string& field, sa::HardwareOffload offload);

  // Errors: not 4 or 16 bytes, or unspecified.
  IpAddress Address(const std::string& field, const std::string& bytes);
  // Empty bytes give the unspecified address.
  IpAddress OptionalAddress(const std::string& field, const std::string& bytes);
  ike::TrafficSelector Selector(const std::string& field, const sa::TrafficSelector& selector);
  ike::SaId Id(const std::string& field, const sa::SaId& id);
  void SameFamily(const std::string& field, const IpAddress& first, const IpAddress& second);

  // A number of a narrower type.
  template <typename T>
  T Number(const std::string& field, uint64_t value, uint64_t maximum) {
    if (value > maximum) {
      Refuse(Errc::kInvalidArgument, field,
             fmt::format("{} is too large; expected at most {}", value, maximum));
      return 0;
    }
    return static_cast<T>(value);
  }
  template <typename T>
  T Number(const std::string& field, uint64_t value) {
    return Number<T>(field, value, std::numeric_limits<T>::max());
  }

  // proto3 lets any number through as an enum: `values` are the known ones, in order of their
  // numbers.
  template <typename T>
  T Choice(const std::string& field, int value, const std::vector<T>& values, int first = 0) {
    const int index = value - first;
    if (index < 0 || index >= static_cast<int>(values.size())) {
      Refuse(Errc::kInvalidArgument, field,
             fmt::format("{} is no value of it; expected {} to {}", value, first,
                         first + static_cast<int>(values.size()) - 1));
      return values[0];
    }
    return values[static_cast<size_t>(index)];
  }

 private:
  std::string message_;
  std::optional<Error> error_;
};

// Names the first field, however deep, that this version does not know; empty if there is none.
std::string FindUnknownField(const google::protobuf::Message& message);

}  // namespace penstock
