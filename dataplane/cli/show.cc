#include <memory>

#include "dataplane/base/ip_address.h"
#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"

namespace penstock::cli {
namespace {

using Request = std::shared_ptr<control::Request>;

// `show NAME`; `body` chooses what is asked for.
CLI::App* AddShow(CLI::App* show, Context& context, const std::string& name,
                  const std::string& help, const Request& request) {
  CLI::App* command = show->add_subcommand(name, help);
  const auto detail = std::make_shared<bool>(false);
  command->add_flag("--detail", *detail, "Every field, a block for each row");
  command->callback([&context, request, detail] {
    context.action = [&context, request, detail] { return context.Show(*request, *detail); };
  });
  return command;
}

Request NewRequest() { return std::make_shared<control::Request>(); }

Result<uint32_t> ParseLimit(const std::string& text) {
  const Result<uint64_t> limit = ParseNumber(text, 1, 0xffffffff);
  if (!limit) {
    return tl::make_unexpected(limit.error());
  }
  return static_cast<uint32_t>(*limit);
}

Result<std::string> ParsePrefix(const std::string& text) {
  const Result<Prefix> prefix = Prefix::Parse(text);
  if (!prefix) {
    return tl::make_unexpected(prefix.error());
  }
  return prefix->ToString();
}

void AddGateway(CLI::App* show, Context& context) {
  Request request = NewRequest();
  request->mutable_show_status();
  AddExamples(AddShow(show, context, "status", "The gateway at a glance", request),
              {"show status", "show status --json"});

  request = NewRequest();
  request->mutable_show_ports();
  CLI::App* ports =
      AddShow(show, context, "ports", "Network ports: link, packets, losses", request);
  AddText(ports, "port", "PORT", "Only this port",
          [request](const std::string& name) { request->mutable_show_ports()->set_name(name); });
  AddExamples(ports, {"show ports", "show ports wan0 --detail"});

  request = NewRequest();
  request->mutable_show_workers();
  AddExamples(AddShow(show, context, "workers", "Worker threads: how busy, what they did", request),
              {"show workers"});
}

void AddIpsec(CLI::App* show, Context& context) {
  Request request = NewRequest();
  request->mutable_show_tunnels();
  CLI::App* tunnels =
      AddShow(show, context, "tunnels", "Tunnels: state, ends, packets, current SA", request);
  AddText(tunnels, "tunnel", "TUNNEL", "Only this tunnel",
          [request](const std::string& name) { request->mutable_show_tunnels()->set_name(name); });
  AddExamples(tunnels, {"show tunnels", "show tunnels tun1 --detail"});

  request = NewRequest();
  request->mutable_show_sas();
  CLI::App* sas = AddShow(show, context, "sas", "SAs: suite, state, packets, life left", request);
  AddText(sas, "--tunnel", "TUNNEL", "Only SAs of this tunnel",
          [request](const std::string& name) { request->mutable_show_sas()->set_tunnel(name); });
  AddParsed(sas, "--spi", "SPI", "Only SAs with this SPI", ParseSpi,
            [request](uint32_t spi) { request->mutable_show_sas()->set_spi(spi); });
  AddExamples(sas, {"show sas", "show sas --tunnel tun1", "show sas --spi 0xc1000001 --detail"});

  request = NewRequest();
  request->mutable_show_policies();
  AddExamples(
      AddShow(show, context, "policies", "Policies: selectors and what they lead to", request),
      {"show policies"});
}

void AddRouting(CLI::App* show, Context& context) {
  Request request = NewRequest();
  request->mutable_show_routes();
  CLI::App* routes = AddShow(show, context, "routes", "Routes and their next hops", request);
  AddParsed(
      routes, "prefix", "PREFIX", "Only routes inside this prefix", ParsePrefix,
      [request](const std::string& prefix) { request->mutable_show_routes()->set_prefix(prefix); });
  AddParsed(routes, "--limit", "N", "At most so many routes", ParseLimit,
            [request](uint32_t limit) { request->mutable_show_routes()->set_limit(limit); });
  AddChoice(
      routes, "--source", "SOURCE", "Only routes of one source",
      {"local", "connected", "neighbor", "protected", "static", "control", "bgp"},
      [request](const std::string& source) { request->mutable_show_routes()->set_source(source); });
  AddText(routes, "--tunnel", "TUNNEL", "Only routes with a next hop in this tunnel",
          [request](const std::string& name) { request->mutable_show_routes()->set_tunnel(name); });
  routes->add_flag_callback(
      "--active", [request] { request->mutable_show_routes()->set_active(true); },
      "Only routes that are in force");
  AddExamples(routes, {"show routes", "show routes 10.0.0.0/8 --limit 50",
                       "show routes --source bgp --json", "show routes --tunnel tun1 --active"});

  request = NewRequest();
  request->mutable_show_groups();
  AddExamples(
      AddShow(show, context, "nexthop-groups", "ECMP groups and their members' buckets", request),
      {"show nexthop-groups", "show nexthop-groups --json"});

  request = NewRequest();
  request->mutable_show_fpm();
  AddExamples(
      AddShow(show, context, "fpm", "zebra's connection: routes, messages, problems", request),
      {"show fpm", "show fpm --json"});

  request = NewRequest();
  request->mutable_show_neighbors();
  AddExamples(AddShow(show, context, "neighbors", "Neighbors and their MAC addresses", request),
              {"show neighbors"});
}

void AddCounting(CLI::App* show, Context& context) {
  Request request = NewRequest();
  request->mutable_show_counters();
  AddExamples(AddShow(show, context, "counters", "Where all packets came from and went", request),
              {"show counters", "show counters --exact"});

  request = NewRequest();
  request->mutable_show_drops();
  CLI::App* drops =
      AddShow(show, context, "drops", "Dropped packets by reason, with the last one", request);
  drops->add_flag_callback(
      "--all", [request] { request->mutable_show_drops()->set_all(true); },
      "Reasons that never occurred too");
  AddExamples(drops, {"show drops", "show drops --all"});

  request = NewRequest();
  request->mutable_show_stages();
  AddExamples(
      AddShow(show, context, "stages", "Stages of the packet's way and their cost", request),
      {"show stages"});
}

}  // namespace

void AddShowCommands(CLI::App& app, Context& context) {
  CLI::App* show = app.add_subcommand("show", "Print what the daemon knows");
  show->require_subcommand(1);
  AddGateway(show, context);
  AddIpsec(show, context);
  AddRouting(show, context);
  AddCounting(show, context);
  AddExamples(show, {"show tunnels", "show drops"});
}

}  // namespace penstock::cli
