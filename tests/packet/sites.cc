#include "tests/packet/sites.h"

#include "dataplane/ipsec/esp_frame.h"

namespace penstock {
namespace {

Bytes KeyBytes(uint32_t spi, size_t length, uint8_t salt) {
  Bytes key(length);
  for (size_t i = 0; i < length; ++i) {
    key[i] = static_cast<uint8_t>(spi * 31 + i * 7 + salt);
  }
  return key;
}

}  // namespace

const Suite& SuiteNamed(const std::string& name) {
  const auto suite = FindSuite(name);
  EXPECT_TRUE(suite) << suite.error().message;
  return **suite;
}

Ip ToRight(bool v6) {
  Ip ip;
  if (v6) {
    ip.source = "2001:db8:1::10";
    ip.destination = "2001:db8:2::20";
  }
  return ip;
}

Sites::Sites(const SiteOptions& site_options)
    : options(site_options),
      left(1, site_options.engine),
      right(2, site_options.engine),
      left_address_(site_options.outer_v6 ? "2001:db8:ffff::1" : "203.0.113.1"),
      right_address_(site_options.outer_v6 ? "2001:db8:ffff::2" : "203.0.113.2") {
  const std::string length = options.outer_v6 ? "/128" : "/32";
  left_wan = left.AddNeighbor(Gateway::kWan, right_address_, right.Mac(Gateway::kWan));
  const uint32_t left_lan = left.AddNeighbor(Gateway::kLan, "10.1.0.10", {2, 1, 1, 1, 1, 1});
  const uint32_t right_lan = right.AddNeighbor(Gateway::kLan, "10.2.0.20", {2, 2, 2, 2, 2, 2});
  TunnelConfig tunnel;
  tunnel.name = "t1";
  tunnel.if_id = 1;
  left_tunnel = left.AddTunnel(tunnel);
  right_tunnel = right.AddTunnel(tunnel);
  left.tables().tunnels[left_tunnel].mtu = options.mtu;
  right.tables().tunnels[right_tunnel].mtu = options.mtu;
  const uint32_t left_next_hop = left.TunnelNextHop(left_tunnel);
  left.Route("10.1.0.0/16", left_lan);
  left.Route("2001:db8:1::/48", left_lan);
  left.Route("10.2.0.0/16", left_next_hop);
  left.Route("2001:db8:2::/48", left_next_hop);
  left.Route(right_address_ + length, left_wan);
  left.Route(left_address_ + length, kNextHopLocal);
  right.Route("10.2.0.0/16", right_lan);
  right.Route("2001:db8:2::/48", right_lan);
  right.Route(right_address_ + length, kNextHopLocal);
  Install(0x1001);
}

SaConfig Sites::Config(uint32_t spi, const std::string& source,
                       const std::string& destination) const {
  SaConfig config;
  config.name = "test";
  config.spi = spi;
  config.suite = &SuiteNamed(options.suite);
  config.cipher_key = Secret(KeyBytes(spi, config.suite->key_length(), 1));
  config.integrity_key = Secret(KeyBytes(spi, config.suite->integrity_key_length, 2));
  config.esn = options.esn;
  config.source = *IpAddress::Parse(source);
  config.destination = *IpAddress::Parse(destination);
  config.udp_encapsulation = options.udp;
  config.source_port = options.udp ? kPortNatT : uint16_t{0};
  config.destination_port = options.udp ? kPortNatT : uint16_t{0};
  config.if_id = 1;
  return config;
}

void Sites::Install(SaConfig outbound_config, SaConfig inbound_config) {
  inbound_config.replay_window = options.window;
  inbound = right.InstallInbound(right_tunnel, std::move(inbound_config));
  outbound = left.InstallOutbound(left_tunnel, std::move(outbound_config), left_wan);
}

std::vector<Bytes> Sites::Encrypt(const std::vector<Bytes>& packets, unsigned segment) {
  left.ReceiveIp(Gateway::kLan, packets, segment);
  return left.TakeSentIp(Gateway::kWan);
}

std::vector<Bytes> Sites::Decrypt(const std::vector<Bytes>& packets, unsigned segment) {
  right.ReceiveIp(Gateway::kWan, packets, segment);
  return right.TakeSentIp(Gateway::kLan);
}

}  // namespace penstock
