#include "dataplane/cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/cli/commands.h"
#include "dataplane/cli/usage.h"

namespace penstock::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  penstockctl show status\n"
    "  penstockctl watch\n"
    "  penstockctl lookup 10.2.0.10\n"
    "  penstockctl capture drop --write drops.pcapng\n"
    "Every command has its own --help. Exit status: 0 done, 1 the daemon refused, 2 usage, "
    "3 no daemon.\n";

Result<double> ParseTimeout(const std::string& text) {
  double value = 0;
  if (!CLI::detail::lexical_cast(text, value) || !(value >= 0.1 && value <= 3600)) {
    return Fail(Errc::kInvalidArgument, "\"{}\" is not a number of seconds from 0.1 to 3600", text);
  }
  return value;
}

void AddGlobalOptions(CLI::App& app, Context& context) {
  Options& options = context.options;
  app.add_option("--socket", options.socket,
                 "Control socket of the daemon; that of the only instance below /run/penstock if "
                 "not given")
      ->type_name("PATH");
  app.add_option("--instance", options.instance,
                 "Name of the instance: its socket is /run/penstock/NAME/control.sock")
      ->type_name("NAME");
  app.add_flag("--json", options.json, "Print the answer as JSON");
  app.add_flag("--exact", options.exact, "Print numbers in full instead of 1.23 G");
  AddChoice(&app, "--color", "WHEN", "Use colors (auto: on a terminal, unless NO_COLOR is set)",
            {"auto", "always", "never"},
            [&options](const std::string& when) { options.color = when; });
  AddParsed(&app, "--timeout", "SECONDS", "How long to wait for an answer; 10 if not given",
            ParseTimeout, [&options](double seconds) { options.timeout_seconds = seconds; });
  app.set_version_flag("--version", "penstockctl " PENSTOCK_VERSION, "Print the version");
}

void AddCommands(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  app.fallthrough();  // global options may follow the command too
  AddShowCommands(app, context);
  AddLookupCommand(app, context);
  AddWatchCommand(app, context);
  AddEventsCommand(app, context);
  AddCaptureCommand(app, context);
  CLI::App* add = app.add_subcommand("add", "Add a tunnel, an SA or a route by hand");
  CLI::App* remove = app.add_subcommand("delete", "Delete a tunnel, an SA or a route");
  add->require_subcommand(1);
  remove->require_subcommand(1);
  AddTunnelCommands(*add, *remove, context);
  AddSaCommands(*add, *remove, context);
  AddRouteCommands(*add, *remove, context);
  AddExamples(add, {"add route 10.2.0.0/16 --via tunnel=tun1"});
  AddExamples(remove, {"delete sa 0x1001"});
  AddSettingCommands(app, context);
}

ExitCode Complain(Context& context, const Failure& failure) {
  const std::string name = Paint("penstockctl:", Color::kBold, context.errors().style());
  context.errors().Write(fmt::format("{} {}\n", name, failure.message));
  return failure.code;
}

}  // namespace

ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment) {
  Context context(environment);
  CLI::App app("Controls a running penstockd, the IPsec ESP gateway.", "penstockctl");
  app.get_formatter()->column_width(32);
  app.footer(kFooter);
  AddGlobalOptions(app, context);
  AddCommands(app, context);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    context.out().Write(HelpOf(app));
    return ExitCode::kOk;
  } catch (const CLI::CallForVersion& version) {
    context.out().Write(std::string(version.what()) + "\n");
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    return Complain(context, UsageFailure(app, error));
  }
  const Outcome<void> done = context.action();
  if (!done) {
    return Complain(context, done.error());
  }
  const int error = context.out().error();
  if (error != 0 && error != EPIPE) {
    return Complain(context, {ExitCode::kUsage, fmt::format("cannot write to standard output: {}",
                                                            std::strerror(error))});
  }
  return ExitCode::kOk;
}

}  // namespace penstock::cli
