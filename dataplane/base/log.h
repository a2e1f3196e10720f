// One logger per area over spdlog; never called on the fast path.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "dataplane/base/result.h"

namespace penstock {

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warning, error
  std::string file;            // empty: standard error (journald takes it from there)
};

// Sets level and sink of all areas; to be called once, before threads start.
Status ConfigureLog(const LogOptions& options);

// Changes the level of one area, or of all and of those to come (`area` empty), while the program
// runs. Errors: an unknown level; an area that has never logged, with those that have.
Status SetLogLevel(const std::string& level, const std::string& area);

// The logger of an area ("ports", "sa", "route", ...). Made at first use, thread safe, never null.
spdlog::logger& Log(const char* area);

}  // namespace penstock
