#include <fmt/format.h>

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

Result<std::string> ParseInterfaceAddress(const std::string& text) {
  const Result<InterfaceAddress> address = InterfaceAddress::Parse(text);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  return address->ToString();
}

Result<uint32_t> ParseIfId(const std::string& text) {
  const Result<uint64_t> number = ParseNumber(text, 1, 0xffffffff);
  if (!number) {
    return tl::make_unexpected(number.error());
  }
  return static_cast<uint32_t>(*number);
}

Result<uint32_t> ParseBytes(const std::string& text) {
  const Result<uint64_t> number = ParseNumber(text, 1, 65'535);
  if (!number) {
    return tl::make_unexpected(number.error());
  }
  return static_cast<uint32_t>(*number);
}

void AddAddTunnel(CLI::App& add, Context& context) {
  CLI::App* command = add.add_subcommand("tunnel", "A tunnel that SAs can be bound to");
  const auto request = std::make_shared<control::Request>();
  control::AddTunnel* tunnel = request->mutable_add_tunnel();
  AddText(command, "name", "NAME", "Name of the tunnel and of its device in Linux",
          [tunnel](const std::string& name) { tunnel->set_name(name); })
      ->required();
  AddParsed(command, "--if-id", "N", "What SAs are bound by (swanctl's if_id_in and if_id_out)",
            ParseIfId, [tunnel](uint32_t if_id) { tunnel->set_if_id(if_id); })
      ->required();
  AddParsed(command, "--local", "ADDRESS", "Our outer address", ParseAddress,
            [tunnel](const std::string& address) { tunnel->set_local(address); })
      ->required();
  AddParsed(command, "--remote", "ADDRESS", "The peer's outer address", ParseAddress,
            [tunnel](const std::string& address) { tunnel->set_remote(address); })
      ->required();
  AddParsedList(command, "--address", "ADDRESS/LENGTH", "Inside address; may be repeated",
                ParseInterfaceAddress,
                [tunnel](const std::string& address) { tunnel->add_addresses(address); });
  AddParsed(command, "--mtu", "BYTES", "Largest inner packet; computed if not given", ParseBytes,
            [tunnel](uint32_t mtu) { tunnel->set_mtu(mtu); });
  AddParsed(command, "--outer-mtu", "BYTES", "Largest outer packet; the port's if not given",
            ParseBytes, [tunnel](uint32_t mtu) { tunnel->set_outer_mtu(mtu); });
  CLI::Option* mss = AddParsed(command, "--mss", "BYTES",
                               "What the MSS of TCP SYNs is lowered to; from the MTU if "
                               "not given",
                               ParseBytes, [tunnel](uint32_t bytes) { tunnel->set_mss(bytes); });
  command
      ->add_flag_callback(
          "--no-mss-clamp", [tunnel] { tunnel->set_no_mss_clamp(true); },
          "Leave the MSS of TCP SYNs alone")
      ->excludes(mss);
  command->callback([&context, request] {
    context.action = [&context, request] {
      return context.Change(*request, fmt::format("tunnel {} added", request->add_tunnel().name()));
    };
  });
  AddExamples(command, {"add tunnel tun1 --if-id 1 --local 192.0.2.1 --remote 192.0.2.2 --address "
                        "169.254.21.1/30"});
}

void AddDeleteTunnel(CLI::App& remove, Context& context) {
  CLI::App* command = remove.add_subcommand("tunnel", "A tunnel made by hand, and its SAs");
  const auto request = std::make_shared<control::Request>();
  control::DeleteTunnel* tunnel = request->mutable_delete_tunnel();
  AddText(command, "name", "NAME", "Name of the tunnel", [tunnel](const std::string& name) {
    tunnel->set_name(name);
  })->required();
  command->callback([&context, request] {
    context.action = [&context, request] {
      return context.Change(*request,
                            fmt::format("tunnel {} deleted", request->delete_tunnel().name()));
    };
  });
  AddExamples(command, {"delete tunnel tun1"});
}

}  // namespace

void AddTunnelCommands(CLI::App& add, CLI::App& remove, Context& context) {
  AddAddTunnel(add, context);
  AddDeleteTunnel(remove, context);
}

}  // namespace penstock::cli
