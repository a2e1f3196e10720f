#include "dataplane/ipsec/tunnel.h"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

namespace penstock {
namespace {

constexpr size_t kMaxDeviceName = 15;  // IFNAMSIZ less the closing zero
constexpr auto kRelaxed = std::memory_order_relaxed;

Status ValidateName(const std::string& name) {
  if (name.empty() || name.size() > kMaxDeviceName) {
    return Fail(Errc::kInvalidArgument, "tunnel name \"{}\" has {} characters, use 1 to {}", name,
                name.size(), kMaxDeviceName);
  }
  const bool device =
      name != "." && name != ".." && std::none_of(name.begin(), name.end(), [](unsigned char c) {
        return c <= ' ' || c == '/' || c == ':' || c == '%' || c == 0x7f;
      });
  if (!device) {
    return Fail(Errc::kInvalidArgument,
                "tunnel name \"{}\" is no device name, leave out spaces and the characters / : %",
                name);
  }
  return {};
}

Status ValidateOuter(const TunnelConfig& config) {
  if (!config.local.is_unspecified() && !config.remote.is_unspecified() &&
      config.local.family() != config.remote.family()) {
    return Fail(Errc::kInvalidArgument,
                "tunnel {}: local {} and remote {} are of different address families", config.name,
                config.local.ToString(), config.remote.ToString());
  }
  return {};
}

}  // namespace

struct TunnelTable::Cold {
  std::map<uint32_t, TunnelConfig> configs;
  std::unordered_map<std::string, uint32_t> by_name;
  std::unordered_map<uint32_t, uint32_t> by_if_id;
  std::unordered_map<uint32_t, uint32_t> by_reqid;
  std::deque<uint32_t> free_ids;  // used before; the one that rested longest is in front
  uint32_t next_id = kNoTunnel + 1;

  uint32_t TakeId() {
    if (free_ids.empty()) {
      return next_id < kMaxTunnels ? next_id++ : kNoTunnel;
    }
    const uint32_t id = free_ids.front();
    free_ids.pop_front();
    return id;
  }
};

TunnelTable::TunnelTable(Epoch& epoch) : epoch_(epoch), cold_(std::make_shared<Cold>()) {}

TunnelTable::~TunnelTable() = default;

Result<uint32_t> TunnelTable::Add(const TunnelConfig& config) {
  if (Status status = ValidateName(config.name); !status) {
    return tl::unexpected(status.error());
  }
  if (Status status = ValidateOuter(config); !status) {
    return tl::unexpected(status.error());
  }
  if (FindByName(config.name) != kNoTunnel) {
    return Fail(Errc::kAlreadyExists, "a tunnel named {} exists", config.name);
  }
  if (const uint32_t other = FindByIfId(config.if_id); other != kNoTunnel) {
    return Fail(Errc::kAlreadyExists, "tunnel {}: if_id {} belongs to tunnel {}", config.name,
                config.if_id, cold_->configs.at(other).name);
  }
  if (const uint32_t other = FindByReqid(config.reqid); other != kNoTunnel) {
    return Fail(Errc::kAlreadyExists, "tunnel {}: reqid {} belongs to tunnel {}", config.name,
                config.reqid, cold_->configs.at(other).name);
  }
  epoch_.Reclaim();
  const uint32_t id = cold_->TakeId();
  if (id == kNoTunnel) {
    return Fail(Errc::kExhausted, "tunnel {}: no room, there are {} tunnels", config.name,
                kMaxTunnels - 1);
  }
  cold_->configs.emplace(id, config);
  cold_->by_name.emplace(config.name, id);
  if (config.if_id != 0) {
    cold_->by_if_id.emplace(config.if_id, id);
  }
  if (config.reqid != 0) {
    cold_->by_reqid.emplace(config.reqid, id);
  }
  Tunnel& tunnel = hot_[id];
  tunnel.id = id;
  tunnel.outbound.store(nullptr, kRelaxed);
  tunnel.hold.store(0, kRelaxed);
  tunnel.policies.store(nullptr, kRelaxed);
  tunnel.has_device.store(config.if_id != 0 ? 1 : 0, kRelaxed);
  tunnel.generation.fetch_add(1, kRelaxed);
  std::fill(std::begin(tunnel.icmp_source_v4), std::end(tunnel.icmp_source_v4), uint8_t{0});
  std::fill(std::begin(tunnel.icmp_source_v6), std::end(tunnel.icmp_source_v6), uint8_t{0});
  SetMtu(id, 0);
  tunnel.in_use.store(1, std::memory_order_release);
  return id;
}

Status TunnelTable::Remove(uint32_t id) {
  const auto found = cold_->configs.find(id);
  if (found == cold_->configs.end()) {
    return Fail(Errc::kNotFound, "no tunnel with id {}", id);
  }
  const TunnelConfig& config = found->second;
  Tunnel& tunnel = hot_[id];
  if (tunnel.outbound.load(kRelaxed) != nullptr) {
    return Fail(Errc::kInvalidArgument, "tunnel {} still has an outbound SA, remove it first",
                config.name);
  }
  tunnel.in_use.store(0, kRelaxed);
  tunnel.hold.store(0, kRelaxed);
  cold_->by_name.erase(config.name);
  cold_->by_if_id.erase(config.if_id);
  if (FindByReqid(config.reqid) == id) {
    cold_->by_reqid.erase(config.reqid);
  }
  cold_->configs.erase(found);
  epoch_.Defer([weak = std::weak_ptr<Cold>(cold_), id] {
    if (const auto cold = weak.lock()) {
      cold->free_ids.push_back(id);
    }
  });
  return {};
}

const TunnelConfig& TunnelTable::config(uint32_t id) const {
  const auto found = cold_->configs.find(id);
  PENSTOCK_CHECK(found != cold_->configs.end());
  return found->second;
}

void TunnelTable::set_config(uint32_t id, const TunnelConfig& config) {
  const auto found = cold_->configs.find(id);
  PENSTOCK_CHECK(found != cold_->configs.end());
  TunnelConfig next = config;
  next.name = found->second.name;
  next.if_id = found->second.if_id;
  const uint32_t old_reqid = found->second.reqid;
  if (next.reqid != old_reqid && FindByReqid(next.reqid) != kNoTunnel) {
    next.reqid = old_reqid;
  }
  if (next.reqid != old_reqid) {
    cold_->by_reqid.erase(old_reqid);
    if (next.reqid != 0) {
      cold_->by_reqid.emplace(next.reqid, id);
    }
  }
  // What was configured before is no computed value to fall back on.
  const uint16_t computed = found->second.mtu == 0 ? hot_[id].mtu.load(kRelaxed) : uint16_t{0};
  found->second = std::move(next);
  SetMtu(id, computed);
}

void TunnelTable::SetMtu(uint32_t id, uint16_t computed) {
  const TunnelConfig& config = this->config(id);
  Tunnel& tunnel = hot_[id];
  const uint16_t mtu = config.mtu != 0 ? config.mtu : computed;
  const auto clamp = [&](Family inner) -> uint16_t {
    if (!config.clamp_mss) {
      return 0;
    }
    return config.mss != 0 ? config.mss : MssFor(mtu, inner);
  };
  tunnel.mtu.store(mtu, kRelaxed);
  tunnel.mss_v4.store(clamp(Family::kIpv4), kRelaxed);
  tunnel.mss_v6.store(clamp(Family::kIpv6), kRelaxed);
}

uint32_t TunnelTable::FindByName(const std::string& name) const {
  const auto found = cold_->by_name.find(name);
  return found != cold_->by_name.end() ? found->second : kNoTunnel;
}

uint32_t TunnelTable::FindByIfId(uint32_t if_id) const {
  const auto found = cold_->by_if_id.find(if_id);
  return found != cold_->by_if_id.end() ? found->second : kNoTunnel;
}

uint32_t TunnelTable::FindByReqid(uint32_t reqid) const {
  const auto found = cold_->by_reqid.find(reqid);
  return found != cold_->by_reqid.end() ? found->second : kNoTunnel;
}

std::vector<uint32_t> TunnelTable::ids() const {
  std::vector<uint32_t> all;
  all.reserve(cold_->configs.size());
  for (const auto& [id, config] : cold_->configs) {
    all.push_back(id);
  }
  return all;
}

uint16_t MssFor(uint16_t inner_mtu, Family inner) {
  const size_t ip = inner == Family::kIpv4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
  const size_t headers = ip + sizeof(TcpHeader);
  return static_cast<uint16_t>(inner_mtu > headers ? inner_mtu - headers : 0);
}

}  // namespace penstock
