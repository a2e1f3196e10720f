#include "dataplane/ipsec/esp_frame.h"

#include "dataplane/packet/headers.h"

namespace penstock {

EspOverhead OverheadOf(const Suite& suite, Family outer, bool udp_encapsulation) {
  const size_t ip = outer == Family::kIpv4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
  const size_t udp = udp_encapsulation ? sizeof(UdpHeader) : 0;
  return {.outer = static_cast<uint32_t>(ip + udp),
          .header = static_cast<uint32_t>(sizeof(EspHeader)) + suite.iv_length,
          .icv = suite.icv_length,
          .block = suite.block};
}

uint32_t OuterLength(uint32_t inner, const EspOverhead& overhead) {
  const uint32_t text = inner + EspPadding(inner, overhead.block) + sizeof(EspTrailer);
  return overhead.outer + overhead.header + text + overhead.icv;
}

uint32_t InnerMtu(uint32_t outer_mtu, const EspOverhead& overhead) {
  const uint32_t fixed = overhead.outer + overhead.header + overhead.icv;
  if (outer_mtu < fixed + overhead.block) {
    return 0;
  }
  // Whole blocks that fit, less the trailer that closes the last of them.
  const uint32_t room = outer_mtu - fixed;
  return room - room % overhead.block - static_cast<uint32_t>(sizeof(EspTrailer));
}

}  // namespace penstock
