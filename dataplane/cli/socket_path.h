// Which daemon is meant: from --socket or --instance, or the only one that there is.
#pragma once

#include <string>

#include "dataplane/cli/failure.h"

namespace penstock::cli {

inline constexpr const char* kRunDirectory = "/run/penstock";

// The path of a control socket. Without socket and instance it is that of the only instance below
// `run_directory`; none and several are errors that say so.
Outcome<std::string> FindSocket(const std::string& socket, const std::string& instance,
                                const std::string& run_directory);

}  // namespace penstock::cli
