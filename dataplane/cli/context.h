// What all commands share: the global options, where they read and write, and the way to the
// daemon.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "dataplane/cli/connection.h"
#include "dataplane/cli/failure.h"
#include "dataplane/cli/output.h"
#include "dataplane/cli/socket_path.h"
#include "dataplane/cli/tables.h"

namespace penstock::cli {

// The process's surroundings; tests give others.
struct Environment {
  int input = 0;
  int output = 1;
  int errors = 2;
  std::string run_directory = kRunDirectory;
};

struct Options {
  std::string socket;
  std::string instance;
  std::string color = "auto";
  bool json = false;
  bool exact = false;
  double timeout_seconds = 10;
};

class Context {
 public:
  explicit Context(Environment environment) : environment_(std::move(environment)) {}

  Options options;  // filled by the command line
  // What the chosen command does, once the whole command line is understood.
  std::function<Outcome<void>()> action;

  const Environment& environment() const { return environment_; }
  Output& out();
  Output& errors();
  View view() { return {{options.exact}, out().style()}; }
  Outcome<Connection> Connect() const;

  // Asks and prints the answer: as JSON, as a table, or each row as a block.
  Outcome<void> Show(control::Request& request, bool detail = false);
  // Asks for a change, then prints the sentence.
  Outcome<void> Change(control::Request& request, const std::string& done);

 private:
  Environment environment_;
  std::optional<Output> out_;
  std::optional<Output> errors_;
};

}  // namespace penstock::cli
