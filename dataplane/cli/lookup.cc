#include <memory>

#include "dataplane/base/ip_address.h"
#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"

namespace penstock::cli {
namespace {

Result<std::string> ParseAddress(const std::string& text) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  return address->ToString();
}

Result<uint32_t> ParsePort(const std::string& text) {
  const Result<uint64_t> port = ParseNumber(text, 0, 65'535);
  if (!port) {
    return tl::make_unexpected(port.error());
  }
  return static_cast<uint32_t>(*port);
}

}  // namespace

void AddLookupCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("lookup", "Where a packet to an address goes, and why");
  const auto request = std::make_shared<control::Request>();
  control::Lookup* lookup = request->mutable_lookup();
  AddParsed(command, "address", "ADDRESS", "The packet's destination", ParseAddress,
            [lookup](const std::string& address) { lookup->set_destination(address); })
      ->required();
  CLI::Option* from =
      AddParsed(command, "--from", "ADDRESS", "Its source: tells which member of a group takes it",
                ParseAddress, [lookup](const std::string& source) { lookup->set_source(source); });
  CLI::Option* protocol =
      AddParsed(command, "--protocol", "PROTOCOL", "tcp, udp, icmp, ... or a number", ParseProtocol,
                [lookup](uint32_t number) { lookup->set_protocol(number); })
          ->needs(from);
  AddParsed(command, "--sport", "PORT", "Source port", ParsePort, [lookup](uint32_t port) {
    lookup->set_source_port(port);
  })->needs(protocol);
  AddParsed(command, "--dport", "PORT", "Destination port", ParsePort, [lookup](uint32_t port) {
    lookup->set_destination_port(port);
  })->needs(protocol);
  command->callback([&context, request] {
    context.action = [&context, request] { return context.Show(*request); };
  });
  AddExamples(command, {"lookup 10.2.0.10",
                        "lookup 10.2.0.10 --from 10.1.0.10 --protocol tcp --sport 40000 --dport "
                        "443"});
}

}  // namespace penstock::cli
