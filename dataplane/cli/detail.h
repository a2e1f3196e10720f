// Any message as blocks of "field  value", by reflection, so that a new field is never forgotten.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "dataplane/cli/tables.h"

namespace penstock::cli {

// For a message of rows (Tunnels, Sas, ...): a block for each row, an empty line between; its other
// fields are left out. For any other: one block. Fields that say nothing (0, empty) are left out
// too.
std::string DetailText(const google::protobuf::Message& message, const View& view);

}  // namespace penstock::cli
