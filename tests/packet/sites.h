// Two gateways with a network behind each and a tunnel between them.
#pragma once

#include <string>
#include <vector>

#include "tests/packet/gateway.h"

namespace penstock {

struct SiteOptions {
  std::string suite = "aes-gcm-16-128";
  bool outer_v6 = false;
  bool udp = false;
  bool esn = false;
  uint32_t window = 1024;
  EngineChoice engine = EngineChoice::kAuto;
  uint16_t mtu = 1500;  // of the tunnel: as the SA says, if that is less
};

// Left's network is 10.1.0.0/16 and 2001:db8:1::/48, right's 10.2.0.0/16 and 2001:db8:2::/48.
class Sites {
 public:
  explicit Sites(const SiteOptions& options = {});

  // What an SA from left to right (or back) looks like; keys follow from the SPI.
  SaConfig LeftToRight(uint32_t spi = 0x1001) const {
    return Config(spi, left_address_, right_address_);
  }
  SaConfig RightToLeft(uint32_t spi = 0x2001) const {
    return Config(spi, right_address_, left_address_);
  }
  // Installs a pair of SAs from left to right, replacing left's outbound one.
  void Install(SaConfig outbound, SaConfig inbound);
  void Install(uint32_t spi) { Install(LeftToRight(spi), LeftToRight(spi)); }

  // Sends IP packets from left's network; the outer packets.
  std::vector<Bytes> Encrypt(const std::vector<Bytes>& packets, unsigned segment = 0);
  // Gives outer packets to right; the inner packets that come out to its network.
  std::vector<Bytes> Decrypt(const std::vector<Bytes>& packets, unsigned segment = 0);

  SiteOptions options;
  Gateway left;
  Gateway right;
  uint32_t left_tunnel = 0;
  uint32_t right_tunnel = 0;
  uint32_t left_wan = 0;  // next hop from left to right's outer address
  OutboundSa* outbound = nullptr;
  InboundSa* inbound = nullptr;

 private:
  SaConfig Config(uint32_t spi, const std::string& source, const std::string& destination) const;
  std::string left_address_;
  std::string right_address_;
};

// A packet from left's network to right's.
Ip ToRight(bool v6 = false);
const Suite& SuiteNamed(const std::string& name);

}  // namespace penstock
