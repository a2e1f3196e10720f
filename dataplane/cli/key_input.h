// Reads the key of an SA from a file or standard input, never from the command line.
#pragma once

#include <string>

#include "dataplane/cli/context.h"

namespace penstock::cli {

// The key's bytes out of a file of hex digits. Warns on `errors` when others can read the file.
Outcome<std::string> ReadKeyFile(const std::string& path, Output& errors);
// The same from a descriptor; on a terminal with a prompt and without echo.
Outcome<std::string> ReadKeyInput(int descriptor, Output& errors);

}  // namespace penstock::cli
