// The command families: each function adds its commands to the command line. Parsing sets
// Context::action, which then does the work.
#pragma once

#include "dataplane/cli/options.h"

namespace penstock::cli {

void AddShowCommands(CLI::App& app, Context& context);
void AddLookupCommand(CLI::App& app, Context& context);
void AddWatchCommand(CLI::App& app, Context& context);
void AddEventsCommand(CLI::App& app, Context& context);
void AddCaptureCommand(CLI::App& app, Context& context);
void AddSettingCommands(CLI::App& app, Context& context);

// Below `add` and `delete`.
void AddTunnelCommands(CLI::App& add, CLI::App& remove, Context& context);
void AddSaCommands(CLI::App& add, CLI::App& remove, Context& context);
void AddRouteCommands(CLI::App& add, CLI::App& remove, Context& context);

}  // namespace penstock::cli
