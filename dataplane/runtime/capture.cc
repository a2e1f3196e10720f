// Workers fill slots of a fixed array that go round between two rings: free ones and filled ones.
// Nothing is allocated and nobody waits while packets pass.
#include "dataplane/runtime/capture.h"

#include <pcap/pcap.h>
#include <rte_ring.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dataplane/runtime/pcapng.h"
#include "dataplane/runtime/worker.h"

namespace penstock {
namespace {

constexpr uint32_t kLongestCopy = 16 * 1024;
constexpr size_t kMemory = 16u << 20;
constexpr size_t kFewestSlots = 256;
constexpr size_t kMostSlots = 8192;

constexpr uint32_t kFrames = 0;  // interface numbers in the file
constexpr uint32_t kInner = 1;

struct Slot {
  uint64_t wall_nanoseconds;
  uint32_t length;  // of the copy
  uint32_t original_length;
  uint32_t tunnel;
  uint16_t port;
  bool raw;  // starts with the IP header
  bool outbound;
  int reason;  // DropReason or -1
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

// A compiled filter; a default one lets everything pass.
class Filter {
 public:
  Filter() = default;
  ~Filter() {
    if (compiled_) {
      pcap_freecode(&program_);
    }
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  Status Compile(const std::string& expression, int link_type, uint32_t snap_length) {
    if (expression.empty()) {
      return {};
    }
    pcap_t* dead = pcap_open_dead(link_type, static_cast<int>(snap_length));
    if (dead == nullptr) {
      return Fail(Errc::kInternal, "capture filter '{}': libpcap has no memory", expression);
    }
    compiled_ = pcap_compile(dead, &program_, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) == 0;
    const std::string message = compiled_ ? "" : pcap_geterr(dead);
    pcap_close(dead);
    if (!compiled_) {
      return Fail(Errc::kInvalidArgument,
                  "capture filter '{}': {} (see pcap-filter(7), e.g. 'host 192.0.2.1 and udp')",
                  expression, message);
    }
    return {};
  }
  void MatchNothing() { nothing_ = true; }

  // `available` contiguous bytes of a packet of `length`.
  bool Matches(const uint8_t* bytes, uint32_t available, uint32_t length) const {
    if (nothing_ || !compiled_) {
      return !nothing_;
    }
    pcap_pkthdr header = {};
    header.caplen = available;
    header.len = length;
    return pcap_offline_filter(&program_, &header, bytes) != 0;
  }

 private:
  bpf_program program_ = {};
  bool compiled_ = false;
  bool nothing_ = false;
};

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

// A ring on plain memory: captures come and go, and need no name.
class Ring {
 public:
  explicit Ring(unsigned slots) {
    const auto count = rte_align32pow2(slots + 1);
    const auto size = static_cast<size_t>(rte_ring_get_memsize(count));
    memory_.reset(
        std::aligned_alloc(kCacheLine, (size + kCacheLine - 1) & ~size_t{kCacheLine - 1}));
    PENSTOCK_CHECK(memory_ != nullptr);
    PENSTOCK_CHECK(rte_ring_init(get(), "capture", count, 0) == 0);
  }
  Slot* Take() {
    void* slot = nullptr;
    return rte_ring_dequeue(get(), &slot) == 0 ? static_cast<Slot*>(slot) : nullptr;
  }
  // There is always room: a ring is as large as there are slots.
  void Put(Slot* slot) { PENSTOCK_CHECK(rte_ring_enqueue(get(), slot) == 0); }

 private:
  rte_ring* get() { return static_cast<rte_ring*>(memory_.get()); }
  std::unique_ptr<void, FreeMemory> memory_;
};

uint64_t WallNanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

std::string CommentOf(const Slot& slot) {
  std::string comment;
  if (slot.reason >= 0) {
    const DropReasonInfo& info = kDropReasonInfo[slot.reason];
    comment = fmt::format("dropped: {}: {}", info.name, info.help);
  }
  const char* separator = comment.empty() ? "" : "; ";
  if (slot.tunnel != kNoTunnel) {
    return comment + fmt::format("{}tunnel {}", separator, slot.tunnel);
  }
  return slot.port == kNoPort ? comment : comment + fmt::format("{}port {}", separator, slot.port);
}

// Reasons of the very first and the very last steps, where a frame is a frame whatever the notes
// say.
constexpr bool IsAboutFrames(DropReason reason) {
  return reason == DropReason::kMalformedEthernet || reason == DropReason::kMalformedIp ||
         reason == DropReason::kBadChecksum || reason == DropReason::kNotForUs ||
         reason == DropReason::kPortDown || reason == DropReason::kTransmitFull;
}

// Whether the bytes of a dropped packet start with its link header: with the type right in front of
// the IP header.
bool HasLinkHeader(const Packet* packet, DropReason reason) {
  const PacketNotes& notes = NotesOf(packet);
  if (IsAboutFrames(reason) || (notes.version != 4 && notes.version != 6)) {
    return notes.input_tunnel == kNoTunnel;
  }
  const bool place =
      notes.l3_offset == sizeof(EthernetHeader) || notes.l3_offset == sizeof(EthernetHeader) + 4;
  if (!place || notes.l3_offset > packet->data_len) {
    return false;
  }
  const auto& type = *rte_pktmbuf_mtod_offset(packet, const Be16*, notes.l3_offset - 2);
  return type.ToHost() == (notes.version == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
}

}  // namespace

struct Capture::Impl {
  Impl(unsigned slot_count, size_t slot_bytes)
      : memory(slot_count * slot_bytes), free(slot_count), filled(slot_count) {
    for (unsigned i = 0; i < slot_count; ++i) {
      free.Put(reinterpret_cast<Slot*>(&memory[i * slot_bytes]));
    }
  }
  LazyArray<uint8_t> memory;
  Ring free, filled;
  Filter frame_filter, raw_filter;
  std::atomic<uint64_t> accepted{0};  // got a slot; never above the limit
  std::atomic<uint64_t> lost{0};
  uint64_t read = 0;  // control thread
  bool started = false;
};

Capture::~Capture() = default;

Result<std::unique_ptr<Capture>> Capture::Make(const CaptureOptions& options) {
  std::unique_ptr<Capture> capture(new Capture);
  capture->options_ = options;
  uint32_t& snap = capture->options_.snap_length;
  snap = std::clamp<uint32_t>(snap, 1, kLongestCopy);
  const size_t slot_bytes = (sizeof(Slot) + snap + kCacheLine - 1) & ~size_t{kCacheLine - 1};
  const size_t slots = std::clamp(kMemory / slot_bytes, kFewestSlots, kMostSlots);
  capture->impl_ = std::make_unique<Impl>(static_cast<unsigned>(slots), slot_bytes);
  Impl& impl = *capture->impl_;
  const Status frames = impl.frame_filter.Compile(options.filter, DLT_EN10MB, snap);
  const Status raw = impl.raw_filter.Compile(options.filter, DLT_RAW, snap);
  const Status& main = options.point == CapturePoint::kTunnel ? raw : frames;
  if (!main) {
    return tl::unexpected<Error>(main.error());
  }
  if (!raw) {  // an expression about link headers: what has none is not meant
    impl.raw_filter.MatchNothing();
  }
  switch (options.point) {
    case CapturePoint::kPort:
      capture->any_ = options.port == kNoPort;
      capture->index_ = options.port;
      break;
    case CapturePoint::kTunnel:
      capture->any_ = options.tunnel == kNoTunnel;
      capture->index_ = options.tunnel;
      break;
    case CapturePoint::kDrop:
      capture->any_ = options.drop_reason < 0;
      capture->index_ = static_cast<uint32_t>(options.drop_reason);
      break;
  }
  return capture;
}

void Capture::OfferDropped(WorkerContext& worker, const Packet* packet, DropReason reason) {
  const PacketNotes& notes = NotesOf(packet);
  const unsigned offset = HasLinkHeader(packet, reason) ? 0u : notes.l3_offset;
  Offer(worker, packet, offset, false, notes.input_port, notes.input_tunnel, &reason);
}

void Capture::Offer(WorkerContext& /*worker*/, const Packet* packet, unsigned offset, bool outbound,
                    uint16_t port, uint32_t tunnel, const DropReason* reason) {
  Impl& impl = *impl_;
  if (offset >= packet->data_len) {
    return;
  }
  const PacketNotes& notes = NotesOf(packet);
  const bool raw = options_.point == CapturePoint::kTunnel ||
                   (reason != nullptr && !HasLinkHeader(packet, *reason));
  uint32_t length = packet->pkt_len - offset;
  if (raw && notes.l3_length != 0) {
    length = std::min<uint32_t>(length, notes.l3_length);  // without the link's padding
  }
  const uint32_t contiguous = std::min<uint32_t>(packet->data_len - offset, length);
  const Filter& filter = raw ? impl.raw_filter : impl.frame_filter;
  if (!filter.Matches(rte_pktmbuf_mtod_offset(packet, const uint8_t*, offset), contiguous,
                      length)) {
    return;
  }
  Slot* slot = impl.free.Take();
  if (slot == nullptr) {
    impl.lost.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (options_.packet_limit != 0 &&
      impl.accepted.fetch_add(1, std::memory_order_relaxed) >= options_.packet_limit) {
    impl.accepted.fetch_sub(1, std::memory_order_relaxed);
    impl.free.Put(slot);
    return;
  }
  if (options_.packet_limit == 0) {
    impl.accepted.fetch_add(1, std::memory_order_relaxed);
  }
  *slot = {WallNanoseconds(),
           std::min(length, options_.snap_length),
           length,
           tunnel,
           port,
           raw,
           outbound,
           reason != nullptr ? static_cast<int>(*reason) : -1};
  const void* bytes = rte_pktmbuf_read(packet, offset, slot->length, slot->bytes());
  if (bytes != slot->bytes()) {
    std::memcpy(slot->bytes(), bytes, slot->length);
  }
  impl.filled.Put(slot);
}

bool Capture::Read(std::string& pcapng) {
  Impl& impl = *impl_;
  if (!impl.started) {
    impl.started = true;
    AppendPcapngSection(pcapng);
    AppendPcapngInterface(pcapng, kLinkTypeEthernet, options_.snap_length, "frames");
    AppendPcapngInterface(pcapng, kLinkTypeRaw, options_.snap_length, "packets");
  }
  while (Slot* slot = impl.filled.Take()) {
    const std::string comment = CommentOf(*slot);
    AppendPcapngPacket(pcapng, {slot->raw ? kInner : kFrames,
                                slot->wall_nanoseconds,
                                slot->original_length,
                                slot->outbound,
                                {slot->bytes(), slot->length},
                                comment});
    impl.free.Put(slot);
    ++impl.read;
  }
  return options_.packet_limit == 0 || impl.read < options_.packet_limit;
}

uint64_t Capture::captured() const { return impl_->accepted.load(std::memory_order_relaxed); }
uint64_t Capture::lost() const { return impl_->lost.load(std::memory_order_relaxed); }

}  // namespace penstock
