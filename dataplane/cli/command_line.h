// The whole program but for main: a command line in, an exit status out.
#pragma once

#include <string>
#include <vector>

#include "dataplane/cli/context.h"

namespace penstock::cli {

// Runs `penstockctl ARGUMENTS...`. SIGPIPE must be ignored by the caller.
ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace penstock::cli
