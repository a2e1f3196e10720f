#include "dataplane/cli/output.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace penstock::cli {
namespace {

bool WantsColor(const std::string& color, bool terminal) {
  if (color != "auto") {
    return color == "always";
  }
  const char* no_color = getenv("NO_COLOR");
  const char* term = getenv("TERM");
  return terminal && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

Output::Output(int descriptor, const std::string& color)
    : descriptor_(descriptor), terminal_(isatty(descriptor) == 1) {
  style_.color = WantsColor(color, terminal_);
  MeasureAgain();
}

void Output::MeasureAgain() {
  winsize size{};
  if (terminal_ && ioctl(descriptor_, TIOCGWINSZ, &size) == 0) {
    style_.width = size.ws_col;
  } else if (const char* columns = getenv("COLUMNS"); !terminal_ && columns != nullptr) {
    style_.width = strtoul(columns, nullptr, 10);
  }
}

bool Output::Write(std::string_view text) {
  while (good() && !text.empty()) {
    const ssize_t written = write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd entry{.fd = descriptor_, .events = POLLOUT, .revents = 0};
      poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  return good();
}

}  // namespace penstock::cli
