// Ctrl-C (SIGINT) and SIGTERM as a question that long commands ask, so that they end tidily.
#pragma once

#include <chrono>

namespace penstock::cli {

// From its construction to its destruction the signals set a flag instead of killing. One at a
// time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const;
  // Waits that long; true if the signal came first.
  bool WaitFor(std::chrono::milliseconds time) const;
};

}  // namespace penstock::cli
