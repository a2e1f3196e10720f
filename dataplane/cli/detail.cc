#include "dataplane/cli/detail.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/control.pb.h"

namespace penstock::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool EndsWith(const std::string& name, std::string_view end) { return name.ends_with(end); }

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
    return units.Count(value) + "B";
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
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);  // in order, without those that have their default
  for (const FieldDescriptor* field : fields) {
    std::string label = prefix + field->name();
    std::replace(label.begin(), label.end(), '_', ' ');
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
