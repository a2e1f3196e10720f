// fpm-feed: dials a gateway as zebra does and gives it a large table, for measuring. Each phase is
// one connection and ends when the gateway, which has seen the end of the stream, closes it: all
// that was sent is in force then.
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unix_socket.h"
#include "fpm_client/frame.h"

namespace penstock::fpm {
namespace {

constexpr uint32_t kMostRoutes = 4'000'000;  // Prefixes of PrefixAt do not meet below that
constexpr size_t kFrameLimit = 32'768;       // of zebra's dplane_fpm_nl, about
constexpr size_t kWriteSize = 1u << 18;
constexpr uint32_t kGroup = 1000;  // the group of all next hops; they are numbered from 1
constexpr uint8_t kBgp = 186;
constexpr std::chrono::seconds kConnectTimeout{10};

struct FeedOptions {
  std::string connect = "127.0.0.1:2620";
  uint32_t routes = 1'000'000;
  std::vector<std::string> next_hops;  // DEVICE or DEVICE,ADDRESS
  std::vector<std::string> phases = {"install", "churn", "withdraw"};
};

// The table of a router in the middle of the Internet, about: mostly /24, some shorter, some IPv6.
Prefix PrefixAt(uint32_t index) {
  constexpr uint32_t kLong = 32u << 24;
  constexpr uint32_t kShort = 96u << 24;
  switch (index % 10) {
    case 0: {
      uint8_t bytes[16] = {0x2a};
      for (unsigned i = 0; i < 4; ++i) {
        bytes[2 + i] = static_cast<uint8_t>(index >> (24 - 8 * i));
      }
      return {IpAddress::V6(bytes), 48};
    }
    case 1:
      return {IpAddress::V4(kShort + ((index / 10) << 10)), 22};
    default:
      return {IpAddress::V4(kLong + (index << 8)), 24};
  }
}

class FrameWriter {
 public:
  explicit FrameWriter(int descriptor) : descriptor_(descriptor) { out_.reserve(2 * kWriteSize); }

  void NextHop(uint32_t id, unsigned interface, const std::optional<IpAddress>& gateway) {
    nhmsg body{};
    body.nh_family = !gateway || gateway->is_v4() ? AF_INET : AF_INET6;
    const size_t start = BeginMessage(RTM_NEWNEXTHOP);
    Append(&body, sizeof(body));
    AppendNumber(NHA_ID, id);
    AppendNumber(NHA_OIF, interface);
    if (gateway) {
      AppendAttribute(NHA_GATEWAY, gateway->data(), gateway->size());
    }
    EndMessage(start);
  }

  void Group(uint32_t id, uint32_t members) {
    std::vector<nexthop_grp> group(members);
    for (uint32_t i = 0; i < members; ++i) {
      group[i].id = i + 1;
    }
    nhmsg body{};
    const size_t start = BeginMessage(RTM_NEWNEXTHOP);
    Append(&body, sizeof(body));
    AppendNumber(NHA_ID, id);
    AppendAttribute(NHA_GROUP, group.data(), group.size() * sizeof(nexthop_grp));
    EndMessage(start);
  }

  void Route(const Prefix& prefix, uint32_t next_hop, uint16_t type) {
    rtmsg body{};
    body.rtm_family = prefix.family() == Family::kIpv4 ? AF_INET : AF_INET6;
    body.rtm_dst_len = prefix.length();
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_protocol = kBgp;
    body.rtm_type = RTN_UNICAST;
    const size_t start = BeginMessage(type);
    Append(&body, sizeof(body));
    AppendAttribute(RTA_DST, prefix.address().data(), prefix.address().size());
    AppendNumber(RTA_PRIORITY, 20);
    if (type == RTM_NEWROUTE) {
      AppendNumber(RTA_NH_ID, next_hop);
    }
    EndMessage(start);
  }

  // Everything is written, and the peer has closed its end after it has read that.
  Status Finish() {
    EndFrame();
    if (const Status written = Write(); !written) {
      return written;
    }
    shutdown(descriptor_, SHUT_WR);
    uint8_t answers[4096];
    ssize_t got = 0;
    do {
      got = recv(descriptor_, answers, sizeof(answers), 0);
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got == 0 ? Status() : Broken("reading");
  }

  // Call between messages: sends what has gathered.
  Status Drain() { return out_.size() < kWriteSize ? Status() : Write(); }

 private:
  void Append(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    out_.insert(out_.end(), bytes, bytes + size);
  }
  void AppendAttribute(uint16_t type, const void* value, size_t size) {
    rtattr header{};
    header.rta_type = type;
    header.rta_len = static_cast<uint16_t>(sizeof(header) + size);
    Append(&header, sizeof(header));
    Append(value, size);
  }
  void AppendNumber(uint16_t type, uint32_t value) { AppendAttribute(type, &value, sizeof(value)); }

  size_t BeginMessage(uint16_t type) {
    if (frame_ && out_.size() - *frame_ > kFrameLimit) {
      EndFrame();
    }
    if (!frame_) {
      frame_ = out_.size();
      const uint8_t header[kFrameHeaderLength] = {kFrameVersion, kFrameNetlink, 0, 0};
      Append(header, sizeof(header));
    }
    const size_t start = out_.size();
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
    Append(&header, sizeof(header));
    return start;
  }
  void EndMessage(size_t start) {
    const auto length = static_cast<uint32_t>(out_.size() - start);
    std::memcpy(&out_[start], &length, sizeof(length));
  }
  void EndFrame() {
    if (frame_) {
      const size_t length = out_.size() - *frame_;
      out_[*frame_ + 2] = static_cast<uint8_t>(length >> 8);
      out_[*frame_ + 3] = static_cast<uint8_t>(length);
      frame_.reset();
    }
  }
  Status Write() {
    EndFrame();
    for (size_t done = 0; done < out_.size();) {
      const ssize_t sent = send(descriptor_, &out_[done], out_.size() - done, MSG_NOSIGNAL);
      if (sent < 0 && errno != EINTR) {
        return Broken("writing");
      }
      done += sent > 0 ? static_cast<size_t>(sent) : 0;
    }
    out_.clear();
    return {};
  }
  static tl::unexpected<Error> Broken(const char* what) {
    return Fail(Errc::kUnavailable, "{} on the connection to the gateway: {}", what,
                strerror(errno));
  }

  int descriptor_;
  std::vector<uint8_t> out_;
  std::optional<size_t> frame_;  // where the open one begins
};

Result<int> Connect(const std::string& where) {
  if (where.starts_with("unix:")) {
    return ConnectUnixSocket(where.substr(5), kConnectTimeout);
  }
  const size_t colon = where.rfind(':');
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (colon == std::string::npos ||
      getaddrinfo(where.substr(0, colon).c_str(), where.c_str() + colon + 1, &hints, &found) != 0) {
    return Fail(Errc::kInvalidArgument, "'{}': expected ADDRESS:PORT or unix:/PATH", where);
  }
  const int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = connect(descriptor, found->ai_addr, found->ai_addrlen) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!connected) {
    close(descriptor);
    return Fail(Errc::kUnavailable, "cannot connect to {}: {}", where, strerror(error));
  }
  return descriptor;
}

Status WriteNextHops(const std::vector<std::string>& next_hops, FrameWriter& writer) {
  uint32_t id = 0;
  for (const std::string& text : next_hops) {
    const size_t comma = text.find(',');
    const std::string device = text.substr(0, comma);
    const unsigned interface = if_nametoindex(device.c_str());
    if (interface == 0) {
      return Fail(Errc::kNotFound, "there is no device '{}'", device);
    }
    std::optional<IpAddress> gateway;
    if (comma != std::string::npos) {
      const Result<IpAddress> parsed = IpAddress::Parse(text.substr(comma + 1));
      if (!parsed) {
        return tl::make_unexpected(parsed.error());
      }
      gateway = *parsed;
    }
    writer.NextHop(++id, interface, gateway);
  }
  writer.Group(kGroup, id);
  return {};
}

// Every phase gives a route another next hop: one of them in turn, or all.
Status WriteRoutes(const FeedOptions& options, uint32_t phase, bool withdraw, FrameWriter& writer) {
  const auto ways = static_cast<uint32_t>(options.next_hops.size()) + 1;
  for (uint32_t index = 0; index < options.routes; ++index) {
    const uint32_t way = (index + phase) % ways;
    writer.Route(PrefixAt(index), way == 0 ? kGroup : way, withdraw ? RTM_DELROUTE : RTM_NEWROUTE);
    if (const Status drained = writer.Drain(); !drained) {
      return drained;
    }
  }
  return writer.Finish();
}

Status RunPhase(const FeedOptions& options, uint32_t number) {
  const Result<int> descriptor = Connect(options.connect);
  if (!descriptor) {
    return tl::make_unexpected(descriptor.error());
  }
  FrameWriter writer(*descriptor);
  const auto began = std::chrono::steady_clock::now();
  Status done = WriteNextHops(options.next_hops, writer);
  if (done) {
    done = WriteRoutes(options, number, options.phases[number] == "withdraw", writer);
  }
  close(*descriptor);
  if (!done) {
    return done;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{}: {} routes in {:.2f} s, {:.0f} a second\n", options.phases[number], options.routes,
             seconds, options.routes / seconds);
  return {};
}

}  // namespace
}  // namespace penstock::fpm

int main(int argc, char** argv) {
  penstock::fpm::FeedOptions options;
  CLI::App app(
      "Gives a gateway a large table of routes as zebra does, and says how fast it took it");
  app.add_option("--connect", options.connect, "ADDRESS:PORT or unix:/PATH of the gateway")
      ->capture_default_str();
  app.add_option("--routes", options.routes, "how many")
      ->check(CLI::Range(1u, penstock::fpm::kMostRoutes))
      ->capture_default_str();
  app.add_option("--next-hop", options.next_hops,
                 "DEVICE or DEVICE,ADDRESS; routes use each in turn, and all of them")
      ->required();
  app.add_option("--phases", options.phases, "install, churn (other next hops) and withdraw")
      ->delimiter(',')
      ->check(CLI::IsMember({"install", "churn", "withdraw"}));
  CLI11_PARSE(app, argc, argv);
  for (uint32_t number = 0; number < options.phases.size(); ++number) {
    if (const penstock::Status done = penstock::fpm::RunPhase(options, number); !done) {
      fmt::print(stderr, "fpm-feed: {}\n", done.error().message);
      return 1;
    }
  }
  return 0;
}
