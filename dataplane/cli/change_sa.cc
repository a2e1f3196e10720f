#include <fmt/format.h>

#include <memory>

#include "dataplane/base/ip_address.h"
#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"
#include "dataplane/cli/key_input.h"

namespace penstock::cli {
namespace {

constexpr uint32_t kPadToMtu = 0xffffffff;

// The command as it is put together from its options.
struct SaCommand {
  control::Request request;
  std::string key_file;
  bool key_stdin = false;
};
using Command = std::shared_ptr<SaCommand>;

Result<uint32_t> ParseUint32(const std::string& text, uint32_t lowest, uint32_t highest) {
  const Result<uint64_t> number = ParseNumber(text, lowest, highest);
  if (!number) {
    return tl::make_unexpected(number.error());
  }
  return static_cast<uint32_t>(*number);
}

Result<uint32_t> ParsePort(const std::string& text) { return ParseUint32(text, 1, 65'535); }
Result<uint32_t> ParseDscp(const std::string& text) { return ParseUint32(text, 0, 63); }

// RFC 4303 section 2.1 reserves 1 to 255.
Result<uint32_t> ParseNewSpi(const std::string& text) {
  const Result<uint32_t> spi = ParseSpi(text);
  if (spi && *spi < 256) {
    return Fail(Errc::kInvalidArgument, "SPI {} is reserved (RFC 4303); take one from 256 up",
                *spi);
  }
  return spi;
}

Result<uint32_t> ParseTfc(const std::string& text) {
  return text == "mtu" ? Result<uint32_t>(kPadToMtu) : ParseUint32(text, 1, 65'535);
}

// "off" is 0.
Result<uint32_t> ParseWindow(const std::string& text) {
  return text == "off" ? Result<uint32_t>(0) : ParseUint32(text, 32, 65'536);
}

Result<std::string> ParseAddress(const std::string& text) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  if (!address) {
    return tl::make_unexpected(address.error());
  }
  return address->ToString();
}

void AddKeyOptions(CLI::App* command, const Command& sa) {
  CLI::Option_group* source = command->add_option_group("Key", "Where the key comes from");
  source->add_option("--key-file", sa->key_file, "File with the key in hex")->type_name("FILE");
  source->add_flag("--key-stdin", sa->key_stdin, "Read the key in hex from standard input");
  source->require_option(1);
  source
      ->add_option_function<std::string>(
          "--key", [](const std::string&) {}, "")
      ->check(CLI::Validator(
          [](const std::string&) {
            return std::string(
                "--key: a key on the command line can be seen by every user of this machine (ps) "
                "and "
                "stays in the shell's history; use --key-file FILE or --key-stdin, and do not use "
                "this key again");
          },
          "", ""))
      ->group("");
}

void AddIdentityOptions(CLI::App* command, control::AddSa* sa) {
  AddText(command, "--tunnel", "NAME", "The tunnel it belongs to", [sa](const std::string& name) {
    sa->set_tunnel(name);
  })->required();
  AddChoice(command, "--direction", "DIRECTION", "Which way its packets go", {"in", "out"},
            [sa](const std::string& direction) { sa->set_direction(direction); })
      ->required();
  AddParsed(command, "--spi", "SPI", "Security parameters index, 256 and up", ParseNewSpi,
            [sa](uint32_t spi) { sa->set_spi(spi); })
      ->required();
  AddText(command, "--suite", "SUITE", "Cipher suite, like aes-gcm-16-256",
          [sa](const std::string& suite) { sa->set_suite(suite); })
      ->required();
  AddText(command, "--name", "NAME", "A name to show",
          [sa](const std::string& name) { sa->set_name(name); });
}

void AddOuterOptions(CLI::App* command, control::AddSa* sa) {
  AddParsed(command, "--source", "ADDRESS", "Outer source; from the tunnel if not given",
            ParseAddress, [sa](const std::string& address) { sa->set_source(address); });
  AddParsed(command, "--destination", "ADDRESS", "Outer destination; from the tunnel if not given",
            ParseAddress, [sa](const std::string& address) { sa->set_destination(address); });
  CLI::Option* udp = command->add_flag_callback(
      "--udp", [sa] { sa->set_udp_encapsulation(true); }, "ESP in UDP (RFC 3948)");
  AddParsed(command, "--source-port", "PORT", "UDP source port; 4500 if not given", ParsePort,
            [sa](uint32_t port) { sa->set_source_port(port); })
      ->needs(udp);
  AddParsed(command, "--destination-port", "PORT", "UDP destination port; 4500 if not given",
            ParsePort, [sa](uint32_t port) { sa->set_destination_port(port); })
      ->needs(udp);
  AddChoice(command, "--df", "HOW", "Outer DF bit (copy if not given)", {"copy", "set", "clear"},
            [sa](const std::string& df) { sa->set_df(df); });
  AddParsed(command, "--dscp", "N", "Fixed outer DSCP, 0 to 63; copied if not given", ParseDscp,
            [sa](uint32_t dscp) { sa->set_dscp(dscp); });
  AddParsed(command, "--tfc", "BYTES", "Pad inner packets to so many bytes, or to the MTU: mtu",
            ParseTfc, [sa](uint32_t bytes) { sa->set_tfc_length_bytes(bytes); });
}

void AddCheckOptions(CLI::App* command, control::AddSa* sa) {
  command->add_flag_callback(
      "--esn", [sa] { sa->set_esn(true); }, "Extended (64-bit) sequence numbers");
  AddParsed(command, "--replay-window", "PACKETS", "32 to 65536, or off; 64 if not given",
            ParseWindow, [sa](uint32_t packets) {
              sa->set_no_replay(packets == 0);
              sa->set_replay_window_packets(packets);
            });
  AddParsed(
      command, "--initial-sequence", "N",
      "Of an SA that is taken over: last number sent, or highest received",
      [](const std::string& text) { return ParseNumber(text, 0, UINT64_MAX); },
      [sa](uint64_t sequence) { sa->set_initial_sequence(sequence); });
  command->add_flag_callback(
      "--check-source", [sa] { sa->set_check_source(true); },
      "Inbound: drop packets whose outer source is another");
  AddParsedList(command, "--selector", "SELECTOR",
                "source=PREFIX,destination=PREFIX[,protocol=P][,source-port=N[-M]]"
                "[,destination-port=N[-M]]; may be repeated, everything if not given",
                ParseSelector,
                [sa](const control::Selector& selector) { *sa->add_selectors() = selector; });
}

void AddLifetimeOptions(CLI::App* command, control::AddSa* sa) {
  const auto limit = [command, sa](const char* name, const char* type, const char* help, auto parse,
                                   void (control::Lifetime::*set)(uint64_t)) {
    AddParsed(command, name, type, help, parse,
              [sa, set](uint64_t value) { (sa->mutable_lifetime()->*set)(value); });
  };
  limit("--soft-time", "TIME", "Announce the end after this time: 3000, 50m, 8h", ParseSeconds,
        &control::Lifetime::set_soft_seconds);
  limit("--hard-time", "TIME", "Stop after this time", ParseSeconds,
        &control::Lifetime::set_hard_seconds);
  limit("--soft-bytes", "BYTES", "Announce the end after so many inner bytes: 500M, 1.5G",
        ParseAmount, &control::Lifetime::set_soft_bytes);
  limit("--hard-bytes", "BYTES", "Stop after so many inner bytes", ParseAmount,
        &control::Lifetime::set_hard_bytes);
  limit("--soft-packets", "PACKETS", "Announce the end after so many packets", ParseAmount,
        &control::Lifetime::set_soft_packets);
  limit("--hard-packets", "PACKETS", "Stop after so many packets", ParseAmount,
        &control::Lifetime::set_hard_packets);
}

Outcome<void> AddSa(Context& context, SaCommand& command) {
  Outcome<std::string> key = command.key_stdin
                                 ? ReadKeyInput(context.environment().input, context.errors())
                                 : ReadKeyFile(command.key_file, context.errors());
  if (!key) {
    return tl::make_unexpected(key.error());
  }
  control::AddSa& sa = *command.request.mutable_add_sa();
  sa.set_key(std::move(*key));
  return context.Change(command.request, fmt::format("SA {} {} added to tunnel {}", sa.direction(),
                                                     FormatSpi(sa.spi()), sa.tunnel()));
}

void AddAddSa(CLI::App& add, Context& context) {
  CLI::App* command =
      add.add_subcommand("sa", "One direction of a tunnel, with a key made by hand");
  const auto sa = std::make_shared<SaCommand>();
  control::AddSa* message = sa->request.mutable_add_sa();
  AddIdentityOptions(command, message);
  AddKeyOptions(command, sa);
  AddOuterOptions(command, message);
  AddCheckOptions(command, message);
  AddLifetimeOptions(command, message);
  command->callback(
      [&context, sa] { context.action = [&context, sa] { return AddSa(context, *sa); }; });
  AddExamples(command, {"add sa --tunnel tun1 --direction out --spi 0x1001 --suite aes-gcm-16-256 "
                        "--key-file out.key",
                        "add sa --tunnel tun1 --direction in --spi 0x1002 --suite aes-gcm-16-256 "
                        "--key-stdin --replay-window 1024 < in.key"});
}

void AddDeleteSa(CLI::App& remove, Context& context) {
  CLI::App* command = remove.add_subcommand("sa", "An SA by its SPI");
  const auto request = std::make_shared<control::Request>();
  control::DeleteSa* sa = request->mutable_delete_sa();
  AddParsed(command, "spi", "SPI", "Its SPI", ParseSpi, [sa](uint32_t spi) {
    sa->set_spi(spi);
  })->required();
  AddChoice(command, "--direction", "DIRECTION", "Needed if both directions have this SPI",
            {"in", "out"}, [sa](const std::string& direction) { sa->set_direction(direction); });
  AddParsed(command, "--destination", "ADDRESS", "Needed if several destinations have this SPI",
            ParseAddress, [sa](const std::string& address) { sa->set_destination(address); });
  command->callback([&context, request] {
    context.action = [&context, request] {
      return context.Change(*request,
                            fmt::format("SA {} deleted", FormatSpi(request->delete_sa().spi())));
    };
  });
  AddExamples(command, {"delete sa 0x1001", "delete sa 0x1001 --direction out"});
}

}  // namespace

void AddSaCommands(CLI::App& add, CLI::App& remove, Context& context) {
  AddAddSa(add, context);
  AddDeleteSa(remove, context);
}

}  // namespace penstock::cli
