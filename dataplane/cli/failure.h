// What can end a command early, and the exit status that tells a script of it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace penstock::cli {

enum class ExitCode : int {
  kOk = 0,
  kRefused = 1,   // the daemon answered with an error
  kUsage = 2,     // the command line, or a file that it names, is wrong
  kNoDaemon = 3,  // nobody answers, or not in time, or not in our protocol
};

struct Failure {
  ExitCode code = ExitCode::kUsage;
  std::string message;  // names the thing, the reason and a remedy; no trailing period
};

template <typename T>
using Outcome = tl::expected<T, Failure>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Failure> Failed(ExitCode code, fmt::format_string<Args...> format,
                                             Args&&... args) {
  return tl::unexpected<Failure>(Failure{code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace penstock::cli
