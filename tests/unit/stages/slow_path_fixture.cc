#include "tests/unit/stages/slow_path_fixture.h"

#include <rte_eal.h>
#include <rte_ring.h>

#include <numeric>
#include <random>

#include "dataplane/runtime/port.h"

namespace penstock {
namespace {

constexpr unsigned kPackets = 8191;
constexpr unsigned kJumboPackets = 255;

rte_mempool* Pool() {
  static rte_mempool* pool = *MakePacketPool("test", kPackets, 2048, SOCKET_ID_ANY);
  return pool;
}
rte_mempool* JumboPool() {
  static rte_mempool* pool = *MakePacketPool("test_jumbo", kJumboPackets, 16384, SOCKET_ID_ANY);
  return pool;
}

}  // namespace

uint16_t PlainChecksum(const Bytes& bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

Bytes Random(size_t length, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(length);
  for (auto& byte : bytes) {
    byte = static_cast<uint8_t>(random());
  }
  return bytes;
}

Bytes Slice(const Bytes& bytes, size_t offset, size_t length) {
  offset = std::min(offset, bytes.size());
  length = std::min(length, bytes.size() - offset);
  return {bytes.begin() + static_cast<long>(offset),
          bytes.begin() + static_cast<long>(offset + length)};
}

Bytes operator+(const Bytes& a, const Bytes& b) {
  Bytes both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

uint16_t Word(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

Bytes Words(std::initializer_list<unsigned> words) {
  Bytes bytes;
  for (const unsigned word : words) {
    bytes.push_back(static_cast<uint8_t>(word >> 8));
    bytes.push_back(static_cast<uint8_t>(word));
  }
  return bytes;
}

Bytes MakeIp(const Ip& ip, const Bytes& payload) {
  const IpAddress source = *IpAddress::Parse(ip.source);
  const IpAddress destination = *IpAddress::Parse(ip.destination);
  const Bytes addresses = Bytes(source.data(), source.data() + source.size()) +
                          Bytes(destination.data(), destination.data() + destination.size());
  if (source.is_v6()) {
    const size_t length = ip.options.size() + payload.size();
    return Words({0x6000u | static_cast<unsigned>(ip.tos << 4), 0, static_cast<unsigned>(length),
                  static_cast<unsigned>(ip.protocol << 8 | ip.ttl)}) +
           addresses + ip.options + payload;
  }
  const size_t header = 20 + ip.options.size();
  const auto first = static_cast<unsigned>((0x40 | header / 4) << 8 | ip.tos);
  Bytes bytes = Words({first, static_cast<unsigned>(header + payload.size()), ip.identification,
                       ip.fragment, static_cast<unsigned>(ip.ttl << 8 | ip.protocol), 0}) +
                addresses + ip.options;
  const uint16_t checksum = PlainChecksum(bytes);
  bytes[10] = static_cast<uint8_t>(checksum >> 8);
  bytes[11] = static_cast<uint8_t>(checksum);
  return bytes + payload;
}

Bytes PseudoHeader(const Bytes& ip, uint8_t protocol, size_t length) {
  const auto short_length = static_cast<unsigned>(length);
  return ip[0] >> 4 == 4 ? Slice(ip, 12, 8) + Words({protocol, short_length})
                         : Slice(ip, 8, 32) + Words({0, short_length, 0, protocol});
}

SlowPathTest::SlowPathTest() {
  worker_.hertz = 1'000'000'000;
  worker_.now = 1000 * worker_.hertz;
  worker_.pool = Pool();
  worker_.jumbo_pool = JumboPool();
  worker_.icmp_bucket = TokenBucket(1000, 1000, worker_.hertz);
  worker_.punt_bucket = TokenBucket(20000, 1000, worker_.hertz);
  PENSTOCK_CHECK(MakeWorkerRings(worker_, 512, 512, SOCKET_ID_ANY).has_value());
  engine_ = *MakeEngine(EngineChoice::kOpenssl);
  context_.reset(new StageContext{worker_, tables_, *engine_});
  context_->hold = MakeHoldQueue(tables_.settings);
  context_->sa_hold = MakeSaHold(tables_.settings);
  context_->reassembly = MakeReassembly(tables_.settings, worker_.hertz);
  PortInfo& port = tables_.ports[0];
  port.in_use = port.has_v4 = port.has_v6 = 1;
  const IpAddress v4 = *IpAddress::Parse("192.0.2.254");
  const IpAddress v6 = *IpAddress::Parse("2001:db8::fe");
  memcpy(port.icmp_source_v4, v4.data(), 4);
  memcpy(port.icmp_source_v6, v6.data(), 16);
}

SlowPathTest::~SlowPathTest() {
  DropHeld(*context_);
  DropHeldForSas(*context_);
  for (Lane* lane : {&context_->forward, &context_->generated, &context_->punt}) {
    rte_pktmbuf_free_bulk(lane->packets, lane->count);
  }
  FreeWorkerRings(worker_);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(rte_mempool_avail_count(Pool()), kPackets) << "a packet leaked";
  EXPECT_EQ(rte_mempool_avail_count(JumboPool()), kJumboPackets) << "a jumbo packet leaked";
}

Packet* SlowPathTest::FromBytes(const Bytes& bytes, unsigned segment) {
  Packet* first = nullptr;
  size_t at = 0;
  do {
    const auto length = static_cast<uint16_t>(
        std::min<size_t>(segment == 0 ? bytes.size() : segment, bytes.size() - at));
    Packet* next = rte_pktmbuf_alloc(length > 2048 ? JumboPool() : Pool());
    memcpy(rte_pktmbuf_append(next, length), bytes.data() + at, length);
    at += length;
    if (first == nullptr) {
      first = next;
    } else {
      PENSTOCK_CHECK(rte_pktmbuf_chain(first, next) == 0);
    }
  } while (at < bytes.size());
  NotesOf(first) = PacketNotes{};
  worker_.counters.received.Add(1);
  return first;
}

void SlowPathTest::Describe(Packet* packet, unsigned l3_offset) {
  PacketNotes& notes = NotesOf(packet);
  const Bytes ip = BytesOf(packet, l3_offset);
  notes.l3_offset = static_cast<uint16_t>(l3_offset);
  notes.version = ip[0] >> 4;
  notes.flow_hash = 0x5eed;
  if (notes.version == 4) {
    notes.l4_offset = static_cast<uint16_t>(l3_offset + (ip[0] & 15u) * 4u);
    notes.l3_length = Word(ip, 2);
    notes.protocol = ip[9];
    notes.traffic_class = ip[1];
    notes.flags = (Word(ip, 6) & 0x3fff) != 0 ? kPacketFragment : 0;
    return;
  }
  notes.l4_offset = static_cast<uint16_t>(l3_offset + 40);
  notes.l3_length = static_cast<uint16_t>(40 + Word(ip, 4));
  notes.protocol = ip[6];
  if (ip[6] == kProtocolFragment) {
    notes.flags = kPacketFragment;
    notes.protocol = ip[40];
    notes.l4_offset = static_cast<uint16_t>(l3_offset + 48);
  }
}

Packet* SlowPathTest::Frame(const Bytes& ip, unsigned segment) {
  const Bytes ethernet = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  Packet* packet = FromBytes(ethernet + Words({ip[0] >> 4 == 4 ? 0x0800u : 0x86ddu}) + ip, segment);
  Describe(packet, 14);
  NotesOf(packet).input_port = 0;
  return packet;
}

Packet* SlowPathTest::Inner(const Bytes& ip, uint32_t tunnel) {
  Packet* packet = FromBytes(ip, 0);
  Describe(packet, 0);
  NotesOf(packet).input_port = 0;
  NotesOf(packet).input_tunnel = tunnel;
  return packet;
}

Bytes SlowPathTest::BytesOf(const Packet* packet, unsigned offset) const {
  Bytes bytes(packet->pkt_len - offset);
  if (!bytes.empty()) {
    const void* found =
        rte_pktmbuf_read(packet, offset, static_cast<uint32_t>(bytes.size()), bytes.data());
    if (found != bytes.data()) {
      memcpy(bytes.data(), found, bytes.size());
    }
  }
  return bytes;
}

void SlowPathTest::Release(Packet* packet) {
  worker_.counters.sent.Add(1);
  rte_pktmbuf_free(packet);
}

void SlowPathTest::ExpectBalance(uint64_t elsewhere) {
  const WorkerCounters& counters = worker_.counters;
  uint64_t dropped = 0;
  for (const Counter& drop : counters.drops) {
    dropped += drop.Read();
  }
  EXPECT_EQ(counters.received.Read() + counters.from_host.Read() + counters.generated.Read() +
                counters.fragments.Read(),
            counters.sent.Read() + counters.to_host.Read() + counters.merged.Read() +
                counters.held.Read() + dropped + elsewhere);
}

}  // namespace penstock

int main(int argc, char** argv) {
  const char* arguments[] = {
      "unit_slow_path", "--no-huge",        "--no-shconf", "-m", "128", "--no-pci", "-l", "0",
      "--no-telemetry", "--log-level=error"};
  if (rte_eal_init(static_cast<int>(std::size(arguments)), const_cast<char**>(arguments)) < 0) {
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  rte_eal_cleanup();
  return result;
}
