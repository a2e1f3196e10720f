// Errors as values: a code for programs and one sentence for the operator.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace penstock {

enum class Errc {
  kInvalidArgument,  // the caller must change the request
  kNotFound,
  kAlreadyExists,
  kUnsupported,  // understood, but not built or not possible on this machine
  kExhausted,    // a table, a number range or memory is full
  kPermission,   // the peer or the process lacks a right
  kUnavailable,  // the other side is not there (now)
  kInternal,     // a system call or a library failed where it should not
};

// The code's name as it stands in JSON and protobuf, e.g. "invalid_argument".
const char* ErrcName(Errc code);

struct Error {
  Errc code = Errc::kInternal;
  std::string message;  // names the thing, the value and what would be right; no trailing period
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// Builds the error side of any Result: `return Fail(Errc::kNotFound, "no tunnel named {}", name);`
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> Fail(Errc code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// Passes an error on with its context in front: "port p0: " + message.
[[nodiscard]] inline tl::unexpected<Error> Prefixed(const std::string& context,
                                                    const Error& error) {
  return tl::unexpected<Error>(Error{error.code, context + ": " + error.message});
}

// A broken invariant of the program itself: prints where and what, and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* what);

#define PENSTOCK_CHECK(condition)                              \
  do {                                                         \
    if (!(condition)) [[unlikely]] {                           \
      ::penstock::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                          \
  } while (false)

}  // namespace penstock
