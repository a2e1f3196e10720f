#include "dataplane/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <map>
#include <mutex>

namespace penstock {
namespace {

constexpr const char* kPattern = "%Y-%m-%d %H:%M:%S.%e %^%l%$ %n: %v";

spdlog::sink_ptr StandardError() {
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(spdlog::color_mode::automatic);
  sink->set_pattern(kPattern);
  return sink;
}

// Never destroyed: destructors of static objects may still log.
struct Registry {
  std::mutex mutex;
  spdlog::sink_ptr sink = StandardError();
  spdlog::level::level_enum level = spdlog::level::info;
  std::map<std::string, std::unique_ptr<spdlog::logger>, std::less<>> loggers;
};

Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

Result<spdlog::level::level_enum> ParseLevel(const std::string& text) {
  static const std::map<std::string, spdlog::level::level_enum> levels = {
      {"trace", spdlog::level::trace},
      {"debug", spdlog::level::debug},
      {"info", spdlog::level::info},
      {"warning", spdlog::level::warn},
      {"error", spdlog::level::err}};
  const auto found = levels.find(text);
  if (found == levels.end()) {
    return Fail(Errc::kInvalidArgument,
                "log level \"{}\" is unknown; expected trace, debug, info, warning or error", text);
  }
  return found->second;
}

Result<spdlog::sink_ptr> OpenSink(const std::string& file) {
  if (file.empty()) {
    return StandardError();
  }
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    sink->set_pattern(kPattern);
    return sink;
  } catch (const spdlog::spdlog_ex& error) {  // the library knows no other way to say it
    return Fail(Errc::kInvalidArgument, "log file {}: {}", file, error.what());
  }
}

}  // namespace

Status ConfigureLog(const LogOptions& options) {
  Result<spdlog::level::level_enum> level = ParseLevel(options.level);
  if (!level) {
    return tl::make_unexpected(level.error());
  }
  Result<spdlog::sink_ptr> sink = OpenSink(options.file);
  if (!sink) {
    return tl::make_unexpected(sink.error());
  }
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.level = *level;
  registry.sink = *sink;
  for (auto& [area, logger] : registry.loggers) {
    logger->sinks() = {registry.sink};
    logger->set_level(registry.level);
  }
  return {};
}

Status SetLogLevel(const std::string& text, const std::string& area) {
  const Result<spdlog::level::level_enum> level = ParseLevel(text);
  if (!level) {
    return tl::make_unexpected(level.error());
  }
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (!area.empty()) {
    const auto found = registry.loggers.find(area);
    if (found == registry.loggers.end()) {
      std::string known;
      for (const auto& [name, logger] : registry.loggers) {
        known += (known.empty() ? "" : ", ") + name;
      }
      return Fail(Errc::kNotFound, "no area \"{}\" has logged; known are: {}", area, known);
    }
    found->second->set_level(*level);
    return {};
  }
  registry.level = *level;
  for (auto& [name, logger] : registry.loggers) {
    logger->set_level(*level);
  }
  return {};
}

spdlog::logger& Log(const char* area) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  auto found = registry.loggers.find(area);
  if (found == registry.loggers.end()) {
    auto logger = std::make_unique<spdlog::logger>(area, registry.sink);
    logger->set_level(registry.level);
    logger->flush_on(spdlog::level::trace);  // control path only: what was said must be on disk
    found = registry.loggers.emplace(area, std::move(logger)).first;
  }
  return *found->second;
}

}  // namespace penstock
