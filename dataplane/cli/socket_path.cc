#include "dataplane/cli/socket_path.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace penstock::cli {
namespace {

constexpr const char* kSocketName = "control.sock";

std::vector<std::string> Instances(const std::string& run_directory, std::error_code& error) {
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(run_directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (std::filesystem::is_socket(entry->path() / kSocketName, ignored)) {
      names.push_back(entry->path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Outcome<std::string> FindSocket(const std::string& socket, const std::string& instance,
                                const std::string& run_directory) {
  if (!socket.empty()) {
    return socket;
  }
  if (!instance.empty()) {
    return fmt::format("{}/{}/{}", run_directory, instance, kSocketName);
  }
  std::error_code error;
  const std::vector<std::string> names = Instances(run_directory, error);
  if (error == std::errc::permission_denied) {
    return Failed(ExitCode::kNoDaemon, "{} cannot be read: {}; use sudo", run_directory,
                  error.message());
  }
  if (names.empty()) {
    return Failed(ExitCode::kNoDaemon,
                  "no daemon has a socket {}/*/{}: is penstockd running? systemctl status "
                  "'penstock@*', or name its socket with --socket",
                  run_directory, kSocketName);
  }
  if (names.size() > 1) {
    return Failed(ExitCode::kUsage, "there are {} instances: {}; choose one with --instance",
                  names.size(), fmt::join(names, ", "));
  }
  return fmt::format("{}/{}/{}", run_directory, names.front(), kSocketName);
}

}  // namespace penstock::cli
