// The flow hash: spreads flows over ECMP members, keeps each flow on one.
#pragma once

#include <cstdint>
#include <cstring>

namespace penstock {

template <typename T>
inline T LoadAs(const void* from) {
  T value;
  memcpy(&value, from, sizeof(value));
  return value;
}

namespace flow_hash_detail {

inline constexpr uint64_t kSeed[4] = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
                                      0xd6e8feb86659fd93};

// One widening multiplication, halves folded: every input bit reaches every output bit.
inline uint64_t Fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Zero is left to mean "no hash".
inline uint32_t Finish(uint64_t mixed) {
  const auto hash = static_cast<uint32_t>(mixed ^ mixed >> 32);
  return hash + (hash == 0 ? 1u : 0u);
}

}  // namespace flow_hash_detail

// `addresses`: source and destination as in the packet (8 bytes); `ports`: the four bytes behind
// the IP header as they stand there, 0 where there are none.
inline uint32_t FlowHashV4(const void* addresses, uint32_t ports, uint8_t protocol) {
  using namespace flow_hash_detail;
  const uint64_t rest = uint64_t{protocol} << 32 | ports;
  return Finish(Fold(LoadAs<uint64_t>(addresses) ^ kSeed[0], rest ^ kSeed[1]));
}

// As above with 32 bytes of addresses.
inline uint32_t FlowHashV6(const uint8_t* addresses, uint32_t ports, uint8_t protocol) {
  using namespace flow_hash_detail;
  const uint64_t rest = uint64_t{protocol} << 32 | ports;
  const uint64_t source =
      Fold(LoadAs<uint64_t>(addresses) ^ kSeed[0], LoadAs<uint64_t>(addresses + 8) ^ kSeed[1]);
  const uint64_t destination = Fold(LoadAs<uint64_t>(addresses + 16) ^ kSeed[2],
                                    LoadAs<uint64_t>(addresses + 24) ^ kSeed[3]);
  return Finish(Fold(source ^ rest, destination ^ kSeed[1]));
}

// For what has only one number, such as the outer flow of an SA.
inline uint32_t FlowHashOf(uint32_t number) {
  using namespace flow_hash_detail;
  return Finish(Fold(number ^ kSeed[0], kSeed[1]));
}

}  // namespace penstock
