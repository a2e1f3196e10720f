#include <fmt/format.h>

#include "dataplane/cli/commands.h"
#include "dataplane/cli/interrupt.h"
#include "dataplane/cli/json.h"

namespace penstock::cli {
namespace {

constexpr std::chrono::milliseconds kLook{200};  // for an interrupt, while nothing comes

Color ColorOf(const std::string& kind) {
  if (kind == "tunnel_down" || kind == "port_down" || kind == "sa_expired_hard" ||
      kind == "sa_exhausted" || kind == "lost") {
    return Color::kBad;
  }
  if (kind == "tunnel_up" || kind == "port_up") {
    return Color::kGood;
  }
  return kind == "sa_expired_soft" ? Color::kWarning : Color::kNone;
}

// "tun1 in 0xc1000001", as far as the event has it.
std::string Subject(const control::Event& event) {
  std::string text = event.tunnel().empty() ? event.port() : event.tunnel();
  if (event.spi() != 0) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : " ", event.direction(),
                        event.direction().empty() ? "" : " ", FormatSpi(event.spi()));
  }
  return text.empty() ? "-" : text;
}

std::string EventLine(const control::Event& event, const Style& style) {
  return fmt::format("{}  {}  {:<24}  {}\n", FormatTime(event.unix_microseconds()),
                     Paint(fmt::format("{:<15}", event.kind()), ColorOf(event.kind()), style),
                     Subject(event), event.text());
}

Outcome<void> Events(Context& context) {
  Outcome<Connection> connection = context.Connect();
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  const Interrupt interrupt;
  control::Request request;
  request.mutable_watch_events();
  const Outcome<uint32_t> id = connection->Start(request);
  if (!id) {
    return tl::make_unexpected(id.error());
  }
  while (!interrupt.requested()) {
    const Outcome<std::optional<control::Reply>> reply = connection->Next(*id, kLook);
    if (!reply) {
      return tl::make_unexpected(reply.error());
    }
    if (!reply->has_value()) {
      continue;
    }
    const control::Reply& event = **reply;
    if (event.has_event()) {
      context.out().Write(context.options.json ? ToJson(event.event(), /*compact=*/true)
                                               : EventLine(event.event(), context.out().style()));
    }
    if (!event.more() || !context.out().good()) {
      break;
    }
  }
  return {};
}

}  // namespace

void AddEventsCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("events", "Follow what happens: SAs, tunnels and ports as they change");
  command->callback([&context] { context.action = [&context] { return Events(context); }; });
  AddExamples(command, {"events", "events --json | jq .text"});
}

}  // namespace penstock::cli
