// YAML text to the configuration's message, by reflection over gateway.proto; every error with
// file, line and column.
#pragma once

#include <string>
#include <vector>

#include "config/gateway.pb.h"
#include "dataplane/base/result.h"

namespace penstock::config {

// One thing that is wrong: "penstock.yaml:12:5: ports[0].mtu: 'abc' is not a number from 68 to
// 65535".
struct Problem {
  int line = 0;  // from 1; 0: the file as a whole
  int column = 0;
  std::string field;    // "ports[0].mtu"
  std::string message;  // what, and what would be right
};
std::string FormatProblems(const std::string& file, const std::vector<Problem>& problems);

struct Loaded {
  Gateway gateway;                // defaults are filled in
  std::vector<Problem> problems;  // empty: it is valid, semantics included (see validate.h)
};

// `file` is for messages only.
Loaded LoadText(const std::string& text);
// Errors: the file cannot be read, or it has problems; all of them stand in the message, a line
// each.
Result<Gateway> LoadFile(const std::string& path);

}  // namespace penstock::config
