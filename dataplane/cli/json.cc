#include "dataplane/cli/json.h"

#include <google/protobuf/util/json_util.h>

#include "dataplane/base/result.h"

namespace penstock::cli {

const google::protobuf::Message& BodyOf(const control::Reply& reply) {
  const google::protobuf::Reflection* reflection = reply.GetReflection();
  const google::protobuf::FieldDescriptor* body =
      reflection->GetOneofFieldDescriptor(reply, reply.GetDescriptor()->FindOneofByName("body"));
  return body == nullptr ? reply : reflection->GetMessage(reply, body);
}

std::string ToJson(const google::protobuf::Message& message, bool compact) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  PENSTOCK_CHECK(google::protobuf::util::MessageToJsonString(message, &text, options).ok());
  if (text.empty() || text.back() != '\n') {
    text += '\n';
  }
  return text;
}

}  // namespace penstock::cli
