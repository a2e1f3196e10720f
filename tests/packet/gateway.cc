#include "tests/packet/gateway.h"

#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/crypto/imb_engine.h"
#include "dataplane/runtime/port.h"

namespace penstock {
namespace {

constexpr uint64_t kHertz = 1'000'000'000;

template <typename T>
T Take(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    return T{};
  }
  return std::move(*result);
}

// Worker numbers name rings, so that gateways alive at the same time need different ones.
bool g_worker_taken[kMaxWorkers] = {};

unsigned TakeWorkerNumber() {
  bool* free = std::find(std::begin(g_worker_taken), std::end(g_worker_taken), false);
  *free = true;
  return static_cast<unsigned>(free - g_worker_taken);
}

// All gateways run on one thread, so that they can share one copy of the crypto library: loading a
// private one takes longer than most tests.
std::unique_ptr<Engine> MakeTestEngine(EngineChoice choice) {
  if (choice == EngineChoice::kAuto) {
    if (auto engine = MakeImbEngine(ImbSharing::kShared)) {
      return std::move(*engine);
    }
  }
  return Take(MakeEngine(choice));
}

IpAddress Parse(const std::string& text) { return Take(IpAddress::Parse(text)); }

}  // namespace

rte_mempool* PacketPool() {
  static rte_mempool* pool = Take(MakePacketPool("packets", 4095, 2048, SOCKET_ID_ANY));
  return pool;
}

rte_mempool* JumboPool() {
  static rte_mempool* pool = Take(MakePacketPool("jumbo", 255, 16384, SOCKET_ID_ANY));
  return pool;
}

Bytes BytesOf(const Packet* packet, unsigned offset) {
  Bytes bytes(packet->pkt_len - offset);
  const void* data =
      rte_pktmbuf_read(packet, offset, static_cast<uint32_t>(bytes.size()), bytes.data());
  EXPECT_NE(data, nullptr);
  if (data != bytes.data()) {
    memcpy(bytes.data(), data, bytes.size());
  }
  return bytes;
}

Gateway::Gateway(unsigned number, EngineChoice engine)
    : number_(number),
      worker_(std::make_unique<WorkerContext>()),
      control_engine_(MakeTestEngine(engine)) {
  worker_->id = TakeWorkerNumber();
  worker_->hertz = kHertz;
  worker_->now = 100 * kHertz;
  worker_->pool = PacketPool();
  worker_->jumbo_pool = JumboPool();
  worker_->punt_bucket = TokenBucket(20000, 1024, kHertz);
  worker_->icmp_bucket = TokenBucket(1000, 1000, kHertz);
  const Status rings = MakeWorkerRings(*worker_, 1024, 1024, SOCKET_ID_ANY);
  EXPECT_TRUE(rings) << rings.error().message;
  for (uint16_t port = 0; port < 2; ++port) {
    OutputQueue& output = worker_->outputs[port];
    output.send = Collect;
    output.context = this;
    output.port = port;
    output.mtu = 1500;
    output.up = true;
    PortInfo& info = tables_.ports[port];
    std::ranges::copy(Mac(port), info.mac);
    info.in_use = 1;
    info.has_v4 = info.has_v6 = 1;
    const uint8_t v4[4] = {192, 0, static_cast<uint8_t>(number), static_cast<uint8_t>(port + 1)};
    std::copy_n(v4, 4, info.icmp_source_v4);
    info.icmp_source_v6[0] = 0x20;
    info.icmp_source_v6[1] = 0x01;
    info.icmp_source_v6[14] = static_cast<uint8_t>(number);
    info.icmp_source_v6[15] = static_cast<uint8_t>(port + 1);
  }
  pipeline_ =
      std::make_unique<Pipeline>(*worker_, tables_, MakeTestEngine(engine), nullptr, nullptr);
}

Gateway::~Gateway() {
  TakePunted();
  ExpectBalance();
  pipeline_.reset();
  FreeWorkerRings(*worker_);
  g_worker_taken[worker_->id] = false;
  EXPECT_EQ(rte_mempool_in_use_count(PacketPool()), 0u) << "packet buffers are lost";
  EXPECT_EQ(rte_mempool_in_use_count(JumboPool()), 0u) << "jumbo buffers are lost";
}

Bytes Gateway::Mac(uint16_t port) const {
  return {0x02, 0, 0, 0, static_cast<uint8_t>(number_), static_cast<uint8_t>(port)};
}

uint32_t Gateway::AddNeighbor(uint16_t port, const std::string& address, const Bytes& mac) {
  const uint32_t index = Take(tables_.next_hops.AddForward(port, Parse(address)));
  LinkHeader link{};
  std::ranges::copy(mac, link.destination);
  std::ranges::copy(Mac(port), link.source);
  link.resolved = 1;
  tables_.next_hops.SetLink(index, link);
  return index;
}

void Gateway::Route(const std::string& prefix, uint32_t next_hop) {
  const Status status = tables_.fib.Set(Take(Prefix::Parse(prefix)), next_hop);
  EXPECT_TRUE(status) << status.error().message;
}

uint32_t Gateway::AddTunnel(const TunnelConfig& config) {
  return Take(tables_.tunnels.Add(config));
}

uint32_t Gateway::TunnelNextHop(uint32_t tunnel) {
  return Take(tables_.next_hops.AddTunnel(tunnel));
}

OutboundSa* Gateway::InstallOutbound(uint32_t tunnel, SaConfig config, uint32_t outer_next_hop) {
  config.inbound = false;
  const uint32_t slot = Take(tables_.sad.SlotForOutbound());
  auto sa = Take(MakeOutboundSa(std::move(config), slot, tunnel, *control_engine_, SystemClock()));
  sa->outer_next_hop = outer_next_hop;
  OutboundSa* raw = sa.get();
  tables_.tunnels[tunnel].outbound.store(raw);
  outbound_.push_back(std::move(sa));
  return raw;
}

InboundSa* Gateway::InstallInbound(uint32_t tunnel, SaConfig config) {
  config.inbound = true;
  const uint32_t slot = Take(tables_.sad.SlotForInbound(config.spi));
  auto sa = Take(MakeInboundSa(std::move(config), slot, tunnel, *control_engine_, SystemClock()));
  InboundSa* raw = sa.get();
  const Status status = tables_.sad.InsertInbound(std::move(sa));
  EXPECT_TRUE(status) << status.error().message;
  return raw;
}

Packet* Gateway::MakePacket(const Bytes& bytes, unsigned segment) const {
  const size_t room = segment == 0 ? 2048 : segment;
  Packet* head = nullptr;
  for (size_t at = 0; at < bytes.size() || head == nullptr; at += room) {
    const size_t length = std::min(room, bytes.size() - std::min(at, bytes.size()));
    Packet* part = rte_pktmbuf_alloc(PacketPool());
    if (part == nullptr) {
      ADD_FAILURE() << "no packet buffers";
      rte_pktmbuf_free(head);
      return nullptr;
    }
    // What earlier packets left in a buffer must never matter.
    memset(part->buf_addr, 0xa5, part->buf_len);
    memset(&NotesOf(part), 0xa5, sizeof(PacketNotes));
    if (length != 0) {
      memcpy(rte_pktmbuf_append(part, static_cast<uint16_t>(length)), bytes.data() + at, length);
    }
    if (head == nullptr) {
      head = part;
    } else {
      EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
    }
  }
  return head;
}

void Gateway::Receive(uint16_t port, const std::vector<Bytes>& frames, unsigned segment) {
  for (size_t first = 0; first < frames.size(); first += kBurst) {
    Packet* packets[kBurst];
    const size_t count = std::min<size_t>(kBurst, frames.size() - first);
    for (size_t i = 0; i < count; ++i) {
      packets[i] = MakePacket(frames[first + i], segment);
    }
    pipeline_->ProcessFrames(port, packets, static_cast<unsigned>(count));
  }
  pipeline_->FlushOutputs();
}

void Gateway::ReceiveIp(uint16_t port, const std::vector<Bytes>& packets, unsigned segment) {
  std::vector<Bytes> frames;
  for (const Bytes& packet : packets) {
    frames.push_back(MakeFrame(Mac(port), packet));
  }
  Receive(port, frames, segment);
}

void Gateway::SendFromTun(uint32_t tunnel, const std::vector<Bytes>& packets) {
  for (const Bytes& bytes : packets) {
    Packet* packet = MakePacket(bytes, 0);
    NotesOf(packet).input_tunnel = tunnel;
    NotesOf(packet).flags = kPacketFromHost;
    ASSERT_EQ(rte_ring_enqueue(worker_->from_host, packet), 0);
  }
  Poll();
}

void Gateway::SendFromTap(uint16_t port, const Bytes& frame) {
  Packet* packet = MakePacket(frame, 0);
  NotesOf(packet).input_tunnel = kNoTunnel;
  NotesOf(packet).output_port = port;
  ASSERT_EQ(rte_ring_enqueue(worker_->from_host, packet), 0);
  Poll();
}

void Gateway::Poll() { pipeline_->Poll(); }

uint16_t Gateway::Collect(void* gateway, uint16_t port, uint16_t, Packet** packets,
                          uint16_t count) {
  auto& self = *static_cast<Gateway*>(gateway);
  for (uint16_t i = 0; i < count; ++i) {
    self.sent_.push_back({port, BytesOf(packets[i])});
    rte_pktmbuf_free(packets[i]);
  }
  return count;
}

std::vector<SentFrame> Gateway::TakeSent() { return std::exchange(sent_, {}); }

std::vector<Bytes> Gateway::TakeSentIp(uint16_t port) {
  std::vector<Bytes> packets;
  for (const SentFrame& frame : TakeSent()) {
    EXPECT_EQ(frame.port, port);
    packets.push_back(IpOf(frame.bytes));
  }
  return packets;
}

std::vector<Bytes> Gateway::TakePunted() {
  std::vector<Bytes> packets;
  void* packet = nullptr;
  while (rte_ring_dequeue(worker_->to_host, &packet) == 0) {
    auto* mbuf = static_cast<Packet*>(packet);
    const PacketNotes& notes = NotesOf(mbuf);
    packets.push_back(BytesOf(mbuf, notes.input_tunnel != kNoTunnel ? notes.l3_offset : 0));
    rte_pktmbuf_free(mbuf);
  }
  return packets;
}

std::vector<WorkerEvent> Gateway::TakeEvents() {
  std::vector<WorkerEvent> events;
  for (WorkerEvent event; PopEvent(*worker_, event);) {
    events.push_back(event);
  }
  return events;
}

std::map<std::string, uint64_t> Gateway::Drops() const {
  std::map<std::string, uint64_t> drops;
  for (unsigned i = 0; i < kDropReasonCount; ++i) {
    if (const uint64_t count = worker_->counters.drops[i].Read(); count != 0) {
      drops[kDropReasonInfo[i].name] = count;
    }
  }
  return drops;
}

void Gateway::ExpectBalance() const {
  const WorkerCounters& counters = worker_->counters;
  uint64_t drops = 0;
  for (const auto& [name, count] : Drops()) {
    drops += count;
  }
  EXPECT_EQ(counters.received.Read() + counters.from_host.Read() + counters.generated.Read() +
                counters.fragments.Read(),
            counters.sent.Read() + counters.to_host.Read() + counters.merged.Read() +
                counters.held.Read() + drops)
      << "received " << counters.received.Read() << " sent " << counters.sent.Read() << " drops "
      << drops << " held " << counters.held.Read();
}

void Gateway::AdvanceMilliseconds(uint64_t milliseconds) {
  worker_->now += kHertz / 1000 * milliseconds;
}

}  // namespace penstock
