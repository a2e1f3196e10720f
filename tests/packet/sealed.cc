#include "tests/packet/sealed.h"

#include <array>

namespace penstock {

Bytes WithTrailer(Bytes payload, uint8_t next_header, unsigned block) {
  uint8_t padding = 0;
  while ((payload.size() + 2) % block != 0) {
    payload.push_back(++padding);
  }
  payload.push_back(padding);
  payload.push_back(next_header);
  return payload;
}

Bytes Seal(Sites& sites, const Bytes& text, uint64_t sequence, uint8_t outer_tos) {
  const OutboundSa& sa = *sites.outbound;
  const size_t front = sa.header_length + sa.iv_length;
  Bytes packet(sa.header, sa.header + sa.header_length);
  packet.resize(front, 0x5a);
  packet.insert(packet.end(), text.begin(), text.end());
  packet.resize(packet.size() + sa.icv_length);
  PutWord(packet, sa.esp_offset + 4u, static_cast<unsigned>(sequence >> 16));
  PutWord(packet, sa.esp_offset + 6u, static_cast<unsigned>(sequence));
  std::array<Job, 1> jobs{};
  jobs[0].key = sa.crypto_key;
  jobs[0].esp = packet.data() + sa.esp_offset;
  jobs[0].text_length = static_cast<uint32_t>(text.size());
  jobs[0].sequence_high = static_cast<uint32_t>(sequence >> 32);
  jobs[0].esn = sites.options.esn;
  sites.left.engine().Encrypt(jobs);
  EXPECT_TRUE(jobs[0].ok);
  PutWord(packet, 2, static_cast<unsigned>(packet.size()));
  packet[1] = outer_tos;
  FixIpv4Checksum(packet);
  return packet;
}

}  // namespace penstock
