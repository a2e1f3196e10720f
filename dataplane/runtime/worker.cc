#include "dataplane/runtime/worker.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ring_elem.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>

namespace penstock {
namespace {

constexpr int kSendAttempts = 3;
constexpr uint32_t kShortestSleepMicroseconds = 5;

// Where Drop may look for a packet's addresses.
enum class Layout : uint8_t {
  kFrame,  // notes are not filled yet, or the data starts with a complete link header
  kNotes,  // l3_offset tells
  kEsp,    // as kNotes, and esp_offset tells where the ESP header is
};

constexpr Layout LayoutOf(DropReason reason) {
  if (reason <= DropReason::kNotForUs || reason == DropReason::kPortDown ||
      reason == DropReason::kTransmitFull || reason == DropReason::kHostMalformed) {
    return Layout::kFrame;
  }
  if (reason >= DropReason::kNoSa && reason <= DropReason::kDummyPacket) {
    return Layout::kEsp;
  }
  return Layout::kNotes;
}

// Offset of the IP header behind Ethernet and at most one VLAN tag.
unsigned L3OffsetOfFrame(const Packet* packet) {
  const auto* ethernet = rte_pktmbuf_mtod(packet, const EthernetHeader*);
  const bool tagged = packet->data_len >= sizeof(EthernetHeader) &&
                      ethernet->type == Be16::FromHost(kEtherTypeVlan);
  return sizeof(EthernetHeader) + (tagged ? 4 : 0);
}

// Only the first segment is read: headers that span segments are not worth a slow path here.
void NoteAddresses(const Packet* packet, unsigned offset, LastDrop& last) {
  if (offset + sizeof(Ipv4Header) > packet->data_len) {
    return;
  }
  const auto* start = rte_pktmbuf_mtod_offset(packet, const uint8_t*, offset);
  if (start[0] >> 4 == 4) {
    const auto* ip = reinterpret_cast<const Ipv4Header*>(start);
    last.family = 4;
    last.protocol = ip->protocol;
    memcpy(last.source, &ip->source, 4);
    memcpy(last.destination, &ip->destination, 4);
  } else if (start[0] >> 4 == 6 && offset + sizeof(Ipv6Header) <= packet->data_len) {
    const auto* ip = reinterpret_cast<const Ipv6Header*>(start);
    last.family = 6;
    last.protocol = ip->next_header;
    memcpy(last.source, ip->source, 16);
    memcpy(last.destination, ip->destination, 16);
  }
}

void NoteEsp(const Packet* packet, DropReason reason, LastDrop& last) {
  const PacketNotes& notes = NotesOf(packet);
  if (notes.esp_offset + sizeof(EspHeader) > packet->data_len) {
    return;
  }
  const auto* esp = rte_pktmbuf_mtod_offset(packet, const EspHeader*, notes.esp_offset);
  last.spi = esp->spi.ToHost();
  // From the replay check on, the notes have the number with its inferred upper half (RFC 4304).
  last.sequence = reason >= DropReason::kReplayDuplicate ? notes.sequence : esp->sequence.ToHost();
}

LastDrop DescribeDrop(const WorkerContext& worker, const Packet* packet, DropReason reason) {
  LastDrop last;
  const PacketNotes& notes = NotesOf(packet);
  const Layout layout = LayoutOf(reason);
  last.tsc = worker.now;
  last.port = notes.input_port < kMaxPorts ? notes.input_port : kNoPort;
  if (layout == Layout::kFrame) {
    NoteAddresses(packet, L3OffsetOfFrame(packet), last);
    return last;
  }
  last.tunnel = notes.input_tunnel;
  NoteAddresses(packet, notes.l3_offset, last);
  if (layout == Layout::kEsp) {
    NoteEsp(packet, reason, last);
  }
  return last;
}

// The counters of the port that the output belongs to, or null for an output outside the context.
PortCounters* CountersOf(WorkerContext& worker, const OutputQueue& output) {
  const std::less<const OutputQueue*> before;
  if (before(&output, worker.outputs) || !before(&output, worker.outputs + kMaxPorts)) {
    return nullptr;
  }
  return &worker.counters.ports[&output - worker.outputs];
}

void DropAll(WorkerContext& worker, Packet** packets, unsigned count, DropReason reason) {
  for (unsigned i = 0; i < count; ++i) {
    Drop(worker, packets[i], reason);
  }
}

rte_ring* MakeRing(const char* kind, unsigned worker, unsigned element, unsigned count,
                   int socket) {
  const std::string name = fmt::format("penstock_{}_{}", kind, worker);
  return rte_ring_create_elem(name.c_str(), element, count, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

void FreePacketRing(rte_ring*& ring) {
  void* packet = nullptr;
  while (ring != nullptr && rte_ring_dequeue(ring, &packet) == 0) {
    rte_pktmbuf_free(static_cast<Packet*>(packet));
  }
  rte_ring_free(ring);
  ring = nullptr;
}

// How long an idle worker sleeps: a little at first, since traffic comes in trains.
class IdleSleep {
 public:
  explicit IdleSleep(const WorkerLoopOptions& options)
      : polls_before_(options.idle_polls_before_sleep),
        longest_(std::clamp(options.sleep_microseconds, 1u, 100'000u)) {}

  void Reset() {
    idle_polls_ = 0;
    next_ = std::min(kShortestSleepMicroseconds, longest_);
  }
  bool Due() { return ++idle_polls_ > polls_before_; }
  void Sleep() {
    const timespec time = {0, static_cast<long>(next_) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
    next_ = std::min(next_ * 2, longest_);
  }

 private:
  uint32_t polls_before_;
  uint32_t longest_;
  uint32_t idle_polls_ = 0;
  uint32_t next_ = std::min(kShortestSleepMicroseconds, longest_);
};

void WakeControl(WorkerContext& worker, int descriptor) {
  worker.event_pending.store(false, std::memory_order_relaxed);
  const uint64_t one = 1;
  // The only way to fail is a saturated eventfd, and then the control thread is awake already.
  [[maybe_unused]] const ssize_t written = write(descriptor, &one, sizeof(one));
}

}  // namespace

void WorkerContext::PushEvent(const WorkerEvent& event) {
  if (events != nullptr) {
    rte_ring_sp_enqueue_elem(events, const_cast<WorkerEvent*>(&event), sizeof(event));
    event_pending.store(true, std::memory_order_relaxed);
  }
}

Status MakeWorkerRings(WorkerContext& worker, unsigned packets, unsigned events, int socket) {
  worker.to_host = MakeRing("to_host", worker.id, sizeof(void*), packets, socket);
  worker.from_host = MakeRing("from_host", worker.id, sizeof(void*), packets, socket);
  worker.events = MakeRing("events", worker.id, sizeof(WorkerEvent), events, socket);
  if (worker.to_host == nullptr || worker.from_host == nullptr || worker.events == nullptr) {
    const int error = rte_errno;
    FreeWorkerRings(worker);
    return Fail(Errc::kExhausted, "rings of worker {} ({} packets, {} events): {}", worker.id,
                packets, events, rte_strerror(error));
  }
  return {};
}

void FreeWorkerRings(WorkerContext& worker) {
  FreePacketRing(worker.to_host);
  FreePacketRing(worker.from_host);
  rte_ring_free(worker.events);
  worker.events = nullptr;
}

bool PopEvent(WorkerContext& worker, WorkerEvent& event) {
  return worker.events != nullptr &&
         rte_ring_sc_dequeue_elem(worker.events, &event, sizeof(event)) == 0;
}

void Drop(WorkerContext& worker, Packet* packet, DropReason reason) {
  const unsigned index = static_cast<unsigned>(reason);
  worker.counters.drops[index].Add(1);
  if (packet == nullptr) [[unlikely]] {
    return;
  }
  LastDrop last = DescribeDrop(worker, packet, reason);
  WriteLastDrop(worker.counters.last_drops[index], last);
  Capture* capture = worker.capture.load(std::memory_order_acquire);
  if (capture != nullptr && capture->Wants(CapturePoint::kDrop, index)) [[unlikely]] {
    capture->OfferDropped(worker, packet, reason);
  }
  rte_pktmbuf_free(packet);
}

void FlushOutput(WorkerContext& worker, OutputQueue& output) {
  const uint16_t count = output.count;
  if (count == 0) {
    return;
  }
  output.count = 0;
  if (!output.up || output.send == nullptr) [[unlikely]] {
    DropAll(worker, output.packets, count, DropReason::kPortDown);
    return;
  }
  uint64_t bytes = 0;  // taken before sending: sent packets belong to the driver
  for (unsigned i = 0; i < count; ++i) {
    bytes += output.packets[i]->pkt_len;
  }
  uint16_t sent = 0;
  for (int attempt = 0; attempt < kSendAttempts && sent < count; ++attempt) {
    sent = static_cast<uint16_t>(sent + output.send(output.context, output.port, output.queue,
                                                    output.packets + sent,
                                                    static_cast<uint16_t>(count - sent)));
  }
  for (unsigned i = sent; i < count; ++i) {
    bytes -= output.packets[i]->pkt_len;
  }
  worker.counters.sent.Add(sent);
  if (PortCounters* counters = CountersOf(worker, output)) {
    counters->sent_packets.Add(sent);
    counters->sent_bytes.Add(bytes);
  }
  DropAll(worker, output.packets + sent, count - sent, DropReason::kTransmitFull);
}

void RunWorkerLoop(WorkerContext& worker, Epoch& epoch, const WorkerLoopOptions& options,
                   const std::atomic<bool>& stop, int wake_descriptor,
                   unsigned (*poll)(void* pipeline), void* pipeline) {
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // the default of 50 us would double short sleeps
  const bool adaptive = options.polling == Polling::kAdaptive;
  IdleSleep idle(options);
  epoch.Register(worker.id);
  epoch.Online(worker.id);
  worker.now = rte_rdtsc();
  while (!stop.load(std::memory_order_relaxed)) {
    const unsigned handled = poll(pipeline);
    epoch.Quiet(worker.id);
    worker.counters.polls.Add(1);
    if (worker.event_pending.load(std::memory_order_relaxed)) [[unlikely]] {
      WakeControl(worker, wake_descriptor);
    }
    const uint64_t end = rte_rdtsc();  // this poll's end and the next one's start
    if (handled > 0) {
      worker.counters.busy_cycles.Add(end - worker.now);
      worker.now = end;
      idle.Reset();
      continue;
    }
    worker.now = end;
    worker.counters.idle_polls.Add(1);
    if (adaptive && idle.Due()) {
      worker.counters.sleeps.Add(1);
      epoch.Offline(worker.id);
      idle.Sleep();
      epoch.Online(worker.id);
      worker.now = rte_rdtsc();
    }
  }
  epoch.Unregister(worker.id);
}

}  // namespace penstock
