// Answers as JSON, for programs.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "config/control.pb.h"

namespace penstock::cli {

// The message that a reply's body holds; the reply itself if it has none.
const google::protobuf::Message& BodyOf(const control::Reply& reply);

// Field names as in control.proto, zeros and empty strings too; ends with a line break. 64-bit
// numbers are strings, as protobuf's JSON mapping has it. `compact` puts all on one line.
std::string ToJson(const google::protobuf::Message& message, bool compact = false);

}  // namespace penstock::cli
