// A worker with real tables, rings and pools, and packets to give it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/stages/slow_path.h"

namespace penstock {

using Bytes = std::vector<uint8_t>;

// Sums 16-bit words as RFC 1071 says, in the slowest and plainest way. A correct header gives 0.
uint16_t PlainChecksum(const Bytes& bytes);
Bytes Random(size_t length, unsigned seed);
Bytes Slice(const Bytes& bytes, size_t offset, size_t length);
Bytes operator+(const Bytes& a, const Bytes& b);
uint16_t Word(const Bytes& bytes, size_t at);
Bytes Words(std::initializer_list<unsigned> words);

struct Ip {
  std::string source = "192.0.2.1";
  std::string destination = "198.51.100.7";
  uint8_t protocol = kProtocolUdp;
  uint16_t fragment = 0;  // IPv4: flags and offset; IPv6: no fragment header is made of it
  uint16_t identification = 0x1234;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  Bytes options = {};  // IPv4: multiple of 4 bytes; IPv6: extension headers
};
// An IP packet's bytes; the family is the source's.
Bytes MakeIp(const Ip& ip, const Bytes& payload);
// The pseudo-header of an upper-layer checksum, from a packet's bytes.
Bytes PseudoHeader(const Bytes& ip, uint8_t protocol, size_t length);

class SlowPathTest : public ::testing::Test {
 protected:
  SlowPathTest();
  ~SlowPathTest() override;

  // A packet with these bytes behind an Ethernet header, received on port 0, notes filled.
  // `segment`: bytes of each segment of a chain; 0: one segment.
  Packet* Frame(const Bytes& ip, unsigned segment = 0);
  // The same without a link header, as if out of tunnel `tunnel`.
  Packet* Inner(const Bytes& ip, uint32_t tunnel);
  Packet* FromBytes(const Bytes& bytes, unsigned segment);
  void Describe(Packet* packet, unsigned l3_offset);
  Bytes BytesOf(const Packet* packet, unsigned offset = 0) const;
  Bytes IpOf(const Packet* packet) const { return BytesOf(packet, NotesOf(packet).l3_offset); }

  // Takes a packet out of what the test must account for.
  void Release(Packet* packet);
  uint64_t drops(DropReason reason) const {
    return worker_.counters.drops[static_cast<unsigned>(reason)].Read();
  }
  uint64_t held() const { return worker_.counters.held.Read(); }
  // The identity of counters.h; `elsewhere`: packets that are in lanes or in the test's hands.
  void ExpectBalance(uint64_t elsewhere = 0);
  void AdvanceMilliseconds(uint64_t milliseconds) {
    worker_.now += worker_.hertz / 1000 * milliseconds;
  }

  WorkerContext worker_;
  Epoch epoch_;
  GatewayTables tables_{epoch_};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<StageContext> context_;
};

}  // namespace penstock
