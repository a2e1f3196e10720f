#include "dataplane/cli/detail.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/control.pb.h"

namespace penstock::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool EndsWith(const std::string& name, std::string_view end) { return name.ends_with(end); }

// "hard_left_bytes" is "hard left": the value says the unit itself.
std::string Label(const std::string& prefix, const std::string& name) {
  std::string label = prefix + name;
  for (const std::string_view unit :
       {"_microseconds", "_milliseconds", "_unix_seconds", "_seconds", "_bytes"}) {
    if (EndsWith(label, unit)) {
      label.resize(label.size() - unit.size());
      // Limits are in time, bytes and packets: there the unit tells them apart.
      const bool is_limit =
          EndsWith(label, "soft") || EndsWith(label, "hard") || EndsWith(label, "left");
      label += unit == "_bytes" ? " bytes" : unit == "_seconds" && is_limit ? " time" : "";
      break;
    }
  }
  std::replace(label.begin(), label.end(), '_', ' ');
  return label;
}

// The unit is at the end of the field's name.
std::string NumberText(const std::string& name, uint64_t value, const Units& units) {
  if (name == "spi" || EndsWith(name, "_spi")) {
    return FormatSpi(static_cast<uint32_t>(value));
  }
  if (EndsWith(name, "_microseconds")) {
    return FormatAge(value);
  }
  if (EndsWith(name, "_milliseconds")) {
    return FormatAge(value * 1000);
  }
  if (EndsWith(name, "_seconds")) {
    return FormatDuration(value);
  }
  if (EndsWith(name, "_bytes")) {
    return units.Bytes(value);
  }
  return EndsWith(name, "packets") ? units.Count(value) : std::to_string(value);
}

std::string ValueText(const Message& message, const FieldDescriptor& field, const Units& units) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "yes" : "";
    case FieldDescriptor::CPPTYPE_UINT32:
      return NumberText(field.name(), reflection.GetUInt32(message, &field), units);
    case FieldDescriptor::CPPTYPE_UINT64:
      return NumberText(field.name(), reflection.GetUInt64(message, &field), units);
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return field.name() == "installed_unix_seconds"
                 ? FormatTime(reflection.GetInt64(message, &field) * 1'000'000)
                 : std::to_string(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return fmt::format("{:.3f}", reflection.GetDouble(message, &field));
    default:
      return "";
  }
}

// A message as a value on one line, where it has a form of its own.
std::string OneLine(const Message& message, const Units& units) {
  if (const auto* hop = dynamic_cast<const control::NextHop*>(&message)) {
    return fmt::format("{} weight {}{}", NextHopText(*hop), hop->weight(),
                       hop->alive() ? "" : " (dead)");
  }
  if (const auto* selector = dynamic_cast<const control::Selector*>(&message)) {
    return SelectorText(*selector);
  }
  if (const auto* bin = dynamic_cast<const control::LateBin*>(&message)) {
    return fmt::format("{} late by {} to {}", units.Count(bin->packets()), bin->from_packets(),
                       bin->to_packets());
  }
  if (const auto* member = dynamic_cast<const control::GroupMember*>(&message)) {
    return fmt::format("{} holds {} buckets", OneLine(member->next_hop(), units),
                       member->buckets());
  }
  return "";
}

void AddFields(Block& block, const std::string& prefix, const Message& message, const Units& units);

void AddMessage(Block& block, const std::string& label, const Message& message,
                const Units& units) {
  if (const std::string line = OneLine(message, units); !line.empty()) {
    block.Add(label, line);
  } else {
    AddFields(block, label + " ", message, units);
  }
}

void AddRepeated(Block& block, const std::string& label, const Message& message,
                 const FieldDescriptor& field, const Units& units) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int index = 0; index < reflection.FieldSize(message, &field); ++index) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      block.Add(label, reflection.GetRepeatedString(message, &field, index));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddMessage(block, label, reflection.GetRepeatedMessage(message, &field, index), units);
    }
  }
}

void AddFields(Block& block, const std::string& prefix, const Message& message,
               const Units& units) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int index = 0; index < message.GetDescriptor()->field_count(); ++index) {
    const FieldDescriptor* field = message.GetDescriptor()->field(index);
    const bool is_key = field->number() == 1 && prefix.empty();  // says which row it is, also if 0
    const bool present = field->is_repeated() ? reflection.FieldSize(message, field) > 0
                                              : reflection.HasField(message, field);
    if ((!present && !is_key) || field->name() == "timestamp_microseconds") {
      continue;
    }
    const std::string label = Label(prefix, field->name());
    if (field->is_repeated()) {
      AddRepeated(block, label, message, *field, units);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddMessage(block, label, reflection.GetMessage(message, field), units);
    } else {
      block.Add(label, ValueText(message, *field, units));
    }
  }
}

std::string BlockText(const Message& message, const View& view) {
  Block block;
  AddFields(block, "", message, view.units);
  return block.Render(view.style);
}

}  // namespace

std::string DetailText(const Message& message, const View& view) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  const FieldDescriptor* rows = type.field_count() == 0 ? nullptr : type.field(0);
  if (rows == nullptr || !rows->is_repeated()) {
    return BlockText(message, view);
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::string text;
  for (int index = 0; index < reflection.FieldSize(message, rows); ++index) {
    text += (index == 0 ? "" : "\n") +
            BlockText(reflection.GetRepeatedMessage(message, rows, index), view);
  }
  return text.empty() ? "none\n" : text;
}

}  // namespace penstock::cli
