#include <fmt/format.h>

#include <memory>

#include "dataplane/base/ip_address.h"
#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"

namespace penstock::cli {
namespace {

Result<std::string> ParsePrefix(const std::string& text) {
  const Result<Prefix> prefix = Prefix::Parse(text);
  if (!prefix) {
    return tl::make_unexpected(prefix.error());
  }
  return prefix->ToString();
}

void AddAddRoute(CLI::App& add, Context& context) {
  CLI::App* command =
      add.add_subcommand("route", "A route; replaces the one of this prefix made by hand");
  const auto request = std::make_shared<control::Request>();
  control::AddRoute* route = request->mutable_add_route();
  AddParsed(command, "prefix", "PREFIX", "Destinations, like 10.2.0.0/16", ParsePrefix,
            [route](const std::string& prefix) { route->set_prefix(prefix); })
      ->required();
  CLI::Option_group* where = command->add_option_group("Where", "Where its packets go");
  AddParsedList(where, "--via", "NEXT_HOP",
                "tunnel=NAME, address=ADDRESS[,port=NAME] or port=NAME; each may end in ,weight=N "
                "(1 to 255) and ,standby=yes (carries while no other is alive); repeat it for ECMP",
                ParseVia, [route](const control::RouteVia& via) { *route->add_via() = via; });
  AddChoice(where, "--action", "ACTION", "What happens to its packets instead",
            {"blackhole", "unreachable", "prohibit"},
            [route](const std::string& action) { route->set_action(action); });
  where->require_option(1);
  command->callback([&context, request] {
    context.action = [&context, request] {
      return context.Change(*request, fmt::format("route {} added", request->add_route().prefix()));
    };
  });
  AddExamples(command, {"add route 10.2.0.0/16 --via tunnel=tun1",
                        "add route 10.2.0.0/16 --via tunnel=tun1,weight=2 --via tunnel=tun2",
                        "add route 10.2.0.0/16 --via tunnel=tun1 --via tunnel=tun2,standby=yes",
                        "add route 0.0.0.0/0 --via address=192.0.2.254",
                        "add route 10.66.0.0/16 --action blackhole"});
}

void AddDeleteRoute(CLI::App& remove, Context& context) {
  CLI::App* command = remove.add_subcommand("route", "A route made by hand");
  const auto request = std::make_shared<control::Request>();
  control::DeleteRoute* route = request->mutable_delete_route();
  AddParsed(command, "prefix", "PREFIX", "Its prefix", ParsePrefix,
            [route](const std::string& prefix) { route->set_prefix(prefix); })
      ->required();
  command->callback([&context, request] {
    context.action = [&context, request] {
      return context.Change(*request,
                            fmt::format("route {} deleted", request->delete_route().prefix()));
    };
  });
  AddExamples(command, {"delete route 10.2.0.0/16"});
}

}  // namespace

void AddRouteCommands(CLI::App& add, CLI::App& remove, Context& context) {
  AddAddRoute(add, context);
  AddDeleteRoute(remove, context);
}

}  // namespace penstock::cli
