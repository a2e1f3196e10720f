#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "dataplane/cli/arguments.h"
#include "dataplane/cli/commands.h"
#include "dataplane/cli/interrupt.h"
#include "dataplane/cli/json.h"

namespace penstock::cli {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds kLook{200};  // for an interrupt, while nothing comes

struct CaptureOptions {
  control::Request request;
  std::string file;
};

// The file that the packets go to, closed at the end unless it is the standard output.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target() {
    if (owned_) {
      close(descriptor_);
    }
  }

  Outcome<void> Open(const std::string& file, int standard_output) {
    if (file == "-") {
      if (isatty(standard_output) == 1) {
        return Failed(ExitCode::kUsage,
                      "--write -: a terminal cannot show pcapng; send it to a program, like | "
                      "tshark -r -");
      }
      descriptor_ = standard_output;
      return {};
    }
    // Captured packets are often in clear: nobody else may read them.
    descriptor_ = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {
      return Failed(ExitCode::kUsage, "--write {}: {}", file, std::strerror(errno));
    }
    owned_ = true;
    return {};
  }

  // Empties a file that was there before; not sooner than packets replace what it holds.
  void Begin() {
    if (owned_ && !begun_) {
      // A device or a pipe has no length; writing to it goes on all the same.
      static_cast<void>(!ftruncate(descriptor_, 0));
    }
    begun_ = true;
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
  bool owned_ = false;
  bool begun_ = false;
};

std::string Summary(const control::CaptureChunk& counts) {
  std::string text = fmt::format("{} packet{} captured", counts.captured_packets(),
                                 counts.captured_packets() == 1 ? "" : "s");
  if (counts.lost_packets() != 0) {
    text += fmt::format(", {} lost (not captured, but handled as always)", counts.lost_packets());
  }
  return text;
}

// Receives one stream of chunks until its end.
class CaptureRun {
 public:
  CaptureRun(Context& context, Connection& connection, Target& target)
      : context_(context),
        connection_(connection),
        target_(target),
        packets_(target.descriptor(), "never") {}

  Outcome<void> Run(control::Request& request) {
    const Interrupt interrupt;
    const Outcome<uint32_t> id = connection_.Start(request);
    if (!id) {
      return tl::make_unexpected(id.error());
    }
    while (!finished_) {
      if ((interrupt.requested() || !packets_.good()) && !stopping_) {
        if (Outcome<void> stopped = connection_.Stop(*id); !stopped) {
          return stopped;
        }
        stopping_ = true;
        stop_deadline_ = SteadyClock::now() + connection_.timeout();
      }
      if (stopping_ && SteadyClock::now() > stop_deadline_) {
        break;  // what is written is whole up to here
      }
      const Outcome<std::optional<control::Reply>> reply = connection_.Next(*id, kLook);
      if (!reply) {
        return tl::make_unexpected(reply.error());
      }
      if (reply->has_value()) {
        Take(**reply);
      }
      ShowProgress();
    }
    return {};
  }

  const control::CaptureChunk& counts() const { return counts_; }
  const Output& packets() const { return packets_; }

 private:
  void Take(const control::Reply& reply) {
    finished_ = !reply.more();
    if (reply.has_capture()) {
      target_.Begin();
      packets_.Write(reply.capture().pcapng());
      counts_.set_captured_packets(reply.capture().captured_packets());
      counts_.set_lost_packets(reply.capture().lost_packets());
    }
  }

  void ShowProgress() {
    const auto now = SteadyClock::now();
    if (!context_.errors().terminal() || (now < next_progress_ && !finished_)) {
      return;
    }
    next_progress_ = now + kLook;
    context_.errors().Write(
        fmt::format("\r\x1b[K{}{}", Summary(counts_), finished_ ? "\r\x1b[K" : "; Ctrl-C ends"));
  }

  Context& context_;
  Connection& connection_;
  Target& target_;
  Output packets_;
  control::CaptureChunk counts_;
  bool finished_ = false;
  bool stopping_ = false;
  SteadyClock::time_point stop_deadline_;
  SteadyClock::time_point next_progress_;
};

Outcome<void> Capture(Context& context, CaptureOptions& options) {
  Outcome<Connection> connection = context.Connect();
  if (!connection) {
    return tl::make_unexpected(connection.error());
  }
  Target target;
  if (Outcome<void> opened = target.Open(options.file, context.environment().output); !opened) {
    return opened;
  }
  CaptureRun run(context, *connection, target);
  if (Outcome<void> ended = run.Run(options.request); !ended) {
    return ended;
  }
  if (const int error = run.packets().error(); error != 0 && error != EPIPE) {
    return Failed(ExitCode::kUsage, "--write {}: {} after {}", options.file, std::strerror(error),
                  Summary(run.counts()));
  }
  if (context.options.json && options.file != "-") {
    context.out().Write(ToJson(run.counts()));
  } else {
    context.errors().Write(fmt::format("{}{}\n", Summary(run.counts()),
                                       options.file == "-" ? "" : " to " + options.file));
  }
  return {};
}

Result<uint32_t> ParseSnapLength(const std::string& text) {
  const Result<uint64_t> bytes = ParseNumber(text, 1, 65'535);
  if (!bytes) {
    return tl::make_unexpected(bytes.error());
  }
  return static_cast<uint32_t>(*bytes);
}

}  // namespace

void AddCaptureCommand(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("capture", "Packets of a port, of a tunnel's inside, or dropped ones");
  const auto options = std::make_shared<CaptureOptions>();
  control::StartCapture* capture = options->request.mutable_start_capture();
  AddChoice(command, "point", "POINT", "Where", {"port", "tunnel", "drop"},
            [capture](const std::string& point) { capture->set_point(point); })
      ->required();
  AddText(command, "name", "NAME", "Name of the port or tunnel, or drop reason; all if not given",
          [capture](const std::string& name) { capture->set_name(name); });
  AddText(command, "--filter", "EXPRESSION", "Only packets that match this pcap-filter(7)",
          [capture](const std::string& filter) { capture->set_filter(filter); });
  AddParsed(
      command, "--count", "N", "End after so many packets",
      [](const std::string& text) { return ParseNumber(text, 1, UINT64_MAX); },
      [capture](uint64_t packets) { capture->set_packet_limit(packets); });
  AddParsed(command, "--snaplen", "BYTES", "At most so many bytes of each packet", ParseSnapLength,
            [capture](uint32_t bytes) { capture->set_snap_length_bytes(bytes); });
  command->add_option("--write", options->file, "pcapng file to write; - for standard output")
      ->type_name("FILE")
      ->required();
  command->callback([&context, options] {
    context.action = [&context, options] { return Capture(context, *options); };
  });
  AddExamples(command, {"capture port wan0 --count 100 --write wan0.pcapng",
                        "capture tunnel tun1 --filter 'tcp port 443' --write - | tshark -r -",
                        "capture drop replay_late --write late.pcapng"});
}

}  // namespace penstock::cli
