// penstockctl: the operator's view of a running penstockd, and the hand on it.
#include <signal.h>

#include <string>
#include <vector>

#include "dataplane/cli/command_line.h"

int main(int argc, char** argv) {
  // A reader that leaves early (| head) is no error; writing tells.
  signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(penstock::cli::RunCommandLine(arguments, {}));
}
