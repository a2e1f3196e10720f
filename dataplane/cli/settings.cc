#include <fmt/format.h>

#include <memory>

#include "dataplane/cli/commands.h"
#include "dataplane/cli/json.h"

namespace penstock::cli {
namespace {

Outcome<void> Reload(Context& context) {
  Outcome<Connection> connection = context.Connect();
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  control::Request request;
  request.mutable_reload();
  const Outcome<control::Reply> reply = connection->Call(request);
  if (!reply) {
    return tl::make_unexpected(reply.error());
  }
  const control::Reloaded& done = reply->reloaded();
  if (context.options.json) {
    context.out().Write(ToJson(done));
    return {};
  }
  std::string text;
  for (const std::string& change : done.changes()) {
    text += change + "\n";
  }
  for (const std::string& left : done.needs_restart()) {
    text += Paint("needs a restart: " + left, Color::kWarning, context.out().style()) + "\n";
  }
  context.out().Write(text.empty() ? "nothing has changed\n" : text);
  return {};
}

void AddSet(CLI::App& app, Context& context) {
  CLI::App* set = app.add_subcommand("set", "Change how the daemon runs, until it ends");
  set->require_subcommand(1);

  CLI::App* log_level = set->add_subcommand("log-level", "How much is logged");
  const auto request = std::make_shared<control::Request>();
  AddChoice(
      log_level, "level", "LEVEL", "From which level",
      {"trace", "debug", "info", "warning", "error"},
      [request](const std::string& level) { request->mutable_set_log_level()->set_level(level); })
      ->required();
  AddText(log_level, "--area", "AREA", "Only of this area, like ipsec; all if not given",
          [request](const std::string& area) { request->mutable_set_log_level()->set_area(area); });
  log_level->callback([&context, request] {
    context.action = [&context, request] {
      const control::SetLogLevel& wanted = request->set_log_level();
      return context.Change(
          *request,
          fmt::format("log level of {} is {}", wanted.area().empty() ? "all areas" : wanted.area(),
                      wanted.level()));
    };
  });
  AddExamples(log_level, {"set log-level debug", "set log-level debug --area route"});

  CLI::App* cycles = set->add_subcommand("cycle-counting", "Cycles of each stage in show stages");
  const auto counting = std::make_shared<control::Request>();
  AddChoice(cycles, "state", "STATE", "Costs some cycles a packet itself", {"on", "off"},
            [counting](const std::string& state) {
              counting->mutable_set_cycle_counting()->set_on(state == "on");
            })
      ->required();
  cycles->callback([&context, counting] {
    context.action = [&context, counting] {
      return context.Change(
          *counting,
          fmt::format("cycle counting is {}", counting->set_cycle_counting().on() ? "on" : "off"));
    };
  });
  AddExamples(cycles, {"set cycle-counting on"});
  AddExamples(set, {"set log-level debug", "set cycle-counting on"});
}

}  // namespace

void AddSettingCommands(CLI::App& app, Context& context) {
  AddSet(app, context);
  CLI::App* reload = app.add_subcommand("reload", "Read the configuration file again");
  reload->callback([&context] { context.action = [&context] { return Reload(context); }; });
  AddExamples(reload, {"reload"});
}

}  // namespace penstock::cli
