#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <vector>

#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"
#include "dataplane/cli/interrupt.h"
#include "dataplane/cli/json.h"
#include "dataplane/cli/rates.h"

namespace penstock::cli {
namespace {

struct WatchOptions {
  std::string what;  // empty: the overview
  double interval_seconds = 1;
  uint64_t count = 0;  // 0: until interrupted
};

std::vector<control::Request> Questions(const std::string& what) {
  std::vector<control::Request> questions;
  if (what.empty() || what == "ports") {
    questions.emplace_back().mutable_show_ports();
  }
  if (what.empty() || what == "tunnels") {
    questions.emplace_back().mutable_show_tunnels();
  }
  if (what == "workers") {
    questions.emplace_back().mutable_show_workers();
  }
  if (what.empty() || what == "drops") {
    questions.emplace_back().mutable_show_drops();
  }
  return questions;
}

Outcome<std::vector<control::Reply>> Ask(Connection& connection,
                                         std::vector<control::Request>& questions) {
  std::vector<control::Reply> replies;
  for (control::Request& question : questions) {
    Outcome<control::Reply> reply = connection.Call(question);
    if (!reply) {
      return tl::make_unexpected(reply.error());
    }
    replies.push_back(std::move(*reply));
  }
  return replies;
}

std::string JsonLines(const std::vector<control::Reply>& replies) {
  std::string text;
  for (const control::Reply& reply : replies) {
    text += ToJson(BodyOf(reply), /*compact=*/true);
  }
  return text;
}

std::string Tables(const control::Hello& hello, const std::vector<control::Reply>& before,
                   const std::vector<control::Reply>& now, const View& view) {
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::string title =
      fmt::format("{}  {}", hello.instance(), FormatTime(time.count()).substr(0, 19));
  std::string text = Paint(title, Color::kDim, view.style) + "\n";
  for (size_t index = 0; index < now.size(); ++index) {
    text += "\n" + RatesText(before[index], now[index], view);
  }
  return text;
}

// Overwrites what is there line by line: clearing first would flicker.
std::string OnScreen(const std::string& text) {
  std::string out = "\x1b[H";
  for (const char character : text) {
    out += character == '\n' ? "\x1b[K\n" : std::string(1, character);
  }
  return out + "\x1b[J";
}

Outcome<void> Watch(Context& context, const WatchOptions& options) {
  Outcome<Connection> connection = context.Connect();
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  const Interrupt interrupt;
  const std::chrono::milliseconds interval(static_cast<int64_t>(options.interval_seconds * 1000));
  std::vector<control::Request> questions = Questions(options.what);
  auto before = Ask(*connection, questions);
  for (uint64_t round = 0; before && (options.count == 0 || round < options.count); ++round) {
    if (interrupt.WaitFor(interval)) {
      return {};
    }
    auto now = Ask(*connection, questions);
    if (!now) {
      return tl::make_unexpected(now.error());
    }
    Output& out = context.out();
    out.MeasureAgain();
    if (context.options.json) {
      out.Write(JsonLines(*now));
    } else {
      const std::string text = Tables(connection->hello(), *before, *now, context.view());
      out.Write(out.terminal() ? (round == 0 ? "\x1b[2J" : "") + OnScreen(text) : text + "\n");
    }
    if (!out.good()) {
      return {};
    }
    before = std::move(now);
  }
  return before ? Outcome<void>() : tl::make_unexpected(before.error());
}

Result<double> ParseInterval(const std::string& text) {
  double value = 0;
  if (!CLI::detail::lexical_cast(text, value) || !(value >= 0.1 && value <= 3600)) {
    return Fail(Errc::kInvalidArgument, "\"{}\" is not a number of seconds from 0.1 to 3600", text);
  }
  return value;
}

}  // namespace

void AddWatchCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("watch", "Rates per second, again and again");
  const auto options = std::make_shared<WatchOptions>();
  AddChoice(command, "what", "WHAT", "What to watch (ports, tunnels and drops if not given)",
            {"ports", "tunnels", "workers", "drops"},
            [options](const std::string& what) { options->what = what; });
  AddParsed(command, "--interval", "SECONDS", "Time between two looks; 1 if not given",
            ParseInterval, [options](double seconds) { options->interval_seconds = seconds; });
  AddParsed(
      command, "--count", "N", "End after so many tables",
      [](const std::string& text) { return ParseNumber(text, 1, 1'000'000'000); },
      [options](uint64_t count) { options->count = count; });
  command->callback([&context, options] {
    context.action = [&context, options] { return Watch(context, *options); };
  });
  AddExamples(command, {"watch", "watch tunnels --interval 5", "watch ports --count 1"});
}

}  // namespace penstock::cli
