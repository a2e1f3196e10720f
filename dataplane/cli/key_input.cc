#include "dataplane/cli/key_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/base/secret.h"
#include "dataplane/cli/arguments.h"

namespace penstock::cli {
namespace {

// The longest key has 96 bytes; hex digits, separators and a line break fit many times.
constexpr size_t kLongest = 4096;

// Wiped however its block is left.
struct Buffer {
  std::array<char, kLongest> text{};
  size_t size = 0;
  ~Buffer() { WipeMemory(text.data(), text.size()); }
};

// Nothing that is typed shows, while it lives.
class NoEcho {
 public:
  explicit NoEcho(int descriptor) : descriptor_(descriptor) {
    tcgetattr(descriptor_, &before_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(descriptor_, TCSAFLUSH, &quiet);
  }
  ~NoEcho() { tcsetattr(descriptor_, TCSAFLUSH, &before_); }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  int descriptor_;
  termios before_{};
};

// Reads to the end, or to the end of the line.
Outcome<std::string> ReadKey(int descriptor, const std::string& name, bool one_line) {
  Buffer buffer;
  for (;;) {
    const ssize_t got =
        read(descriptor, buffer.text.data() + buffer.size, buffer.text.size() - buffer.size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return Failed(ExitCode::kUsage, "{}: cannot read the key: {}", name, std::strerror(errno));
    }
    buffer.size += static_cast<size_t>(got);
    if (got == 0 || (one_line && buffer.text[buffer.size - 1] == '\n')) {
      break;
    }
    if (buffer.size == buffer.text.size()) {
      return Failed(ExitCode::kUsage, "{}: this is no key: it has more than {} characters", name,
                    kLongest);
    }
  }
  Result<std::string> key = ParseKeyHex({buffer.text.data(), buffer.size});
  if (!key) {
    return Failed(ExitCode::kUsage, "{}: {}", name, key.error().message);
  }
  return std::move(*key);
}

}  // namespace

Outcome<std::string> ReadKeyFile(const std::string& path, Output& errors) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return Failed(ExitCode::kUsage, "--key-file {}: {}", path, std::strerror(errno));
  }
  struct stat status {};
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0077) != 0) {
    errors.Write(fmt::format(
        "penstockctl: warning: others may read the key in {} (mode {:04o}); chmod 600 {}\n", path,
        status.st_mode & 07777, path));
  }
  Outcome<std::string> key = ReadKey(descriptor, "--key-file " + path, false);
  close(descriptor);
  return key;
}

Outcome<std::string> ReadKeyInput(int descriptor, Output& errors) {
  if (isatty(descriptor) != 1) {
    return ReadKey(descriptor, "--key-stdin", false);
  }
  errors.Write("key in hex (it does not show): ");
  const NoEcho quiet(descriptor);
  Outcome<std::string> key = ReadKey(descriptor, "--key-stdin", true);
  errors.Write("\n");
  return key;
}

}  // namespace penstock::cli
