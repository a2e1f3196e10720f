// The IP protocols that an operator calls by name.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::cli {

struct ProtocolName {
  const char* name;
  uint32_t number;
};

inline constexpr std::array<ProtocolName, 9> kProtocolNames = {{{"tcp", 6},
                                                                {"udp", 17},
                                                                {"icmp", 1},
                                                                {"icmpv6", 58},
                                                                {"sctp", 132},
                                                                {"gre", 47},
                                                                {"esp", 50},
                                                                {"ah", 51},
                                                                {"ospf", 89}}};

}  // namespace penstock::cli
