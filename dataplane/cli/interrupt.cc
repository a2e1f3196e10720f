#include "dataplane/cli/interrupt.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

namespace penstock::cli {
namespace {

volatile sig_atomic_t interrupted = 0;

void Handle(int) { interrupted = 1; }

}  // namespace

Interrupt::Interrupt() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = Handle;
  // A second Ctrl-C kills, should the tidy end hang.
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupt::~Interrupt() {
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

bool Interrupt::requested() const { return interrupted != 0; }

bool Interrupt::WaitFor(std::chrono::milliseconds time) const {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!requested()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return false;
    }
    // In slices: a signal just before poll would otherwise be noticed only at the end.
    poll(nullptr, 0, static_cast<int>(std::min<int64_t>(left.count(), 100)));
  }
  return true;
}

}  // namespace penstock::cli
