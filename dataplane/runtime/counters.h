// Counters of one worker: written by that worker alone, read and summed by the control thread.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>

#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/packet/packet.h"

namespace penstock {

inline constexpr unsigned kMaxPorts = 32;
inline constexpr unsigned kMaxWorkers = 64;
inline constexpr uint32_t kMaxTunnels = 1u << 16;
inline constexpr uint32_t kMaxSas = 1u << 20;  // inbound and outbound together: SA slots

// A counter with one writer and any readers: plain instructions for the writer, no torn reads.
class Counter {
 public:
  void Add(uint64_t by) { __atomic_store_n(&value_, value_ + by, __ATOMIC_RELAXED); }
  void Set(uint64_t value) { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
  uint64_t Read() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }

 private:
  uint64_t value_ = 0;
};

// A zero-filled array whose pages exist only once touched, so that tables indexed by tunnel or SA
// slot can have their full size from the start and never move.
template <typename T>
class LazyArray {
 public:
  explicit LazyArray(size_t size) : size_(size) {
    void* memory = mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    PENSTOCK_CHECK(memory != MAP_FAILED);
    data_ = static_cast<T*>(memory);
  }
  ~LazyArray() { munmap(data_, size_ * sizeof(T)); }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  size_t size() const { return size_; }

 private:
  T* data_;
  size_t size_;
};

struct alignas(kCacheLine) PortCounters {
  Counter received_packets;
  Counter received_bytes;
  Counter sent_packets;
  Counter sent_bytes;
  Counter punted_packets;  // given to Linux through the port's mirror device
  Counter host_packets;    // taken from Linux through it
  Counter unused[2];
};

struct alignas(kCacheLine) TunnelCounters {
  Counter in_packets;
  Counter in_bytes;  // inner bytes
  Counter out_packets;
  Counter out_bytes;  // inner bytes
  Counter in_dropped;
  Counter out_dropped;
  Counter punted_packets;
  Counter host_packets;
};

struct alignas(kCacheLine) SaCounters {
  Counter packets;
  Counter bytes;      // of ESP payload: what lifetimes count (inner packet bytes)
  Counter last_used;  // TSC of the last burst that used it
  Counter replay_duplicate;
  Counter replay_late;
  Counter integrity_failed;
  Counter late_histogram_index;  // 1 + index into late_histograms of this worker; 0: none yet
  Counter max_late;  // furthest behind the window's right edge, packets dropped as late included
};

// How late replayed-as-late packets were, by powers of two: bin i counts [2^i, 2^(i+1)).
struct LateHistogram {
  Counter bins[32];
};

// What is known of the last packet dropped for a reason. Written by the worker under a sequence
// count: odd while it is being written.
struct alignas(kCacheLine) LastDrop {
  uint32_t version = 0;
  uint32_t spi = 0;  // host order, 0 if none
  uint64_t sequence = 0;
  uint64_t tsc = 0;
  uint32_t tunnel = 0;
  uint16_t port = kNoPort;
  uint8_t family = 0;  // 4, 6, or 0 if the packet had no readable addresses
  uint8_t protocol = 0;
  uint8_t source[16] = {};
  uint8_t destination[16] = {};
};

// Worker side: replaces the slot's content; the version goes on (that of `value` is scratch).
void WriteLastDrop(LastDrop& slot, LastDrop& value);
// Control side: a consistent copy, or nothing if no packet was dropped for this reason yet.
std::optional<LastDrop> ReadLastDrop(const LastDrop& slot);

// The stages whose work is measured; the order is the packet's.
enum class Stage : uint8_t {
  kReceive,
  kClassify,
  kInboundSa,
  kEspDecrypt,
  kInboundPolicy,
  kOutboundPolicy,
  kRoute,
  kEspEncrypt,
  kForward,
  kFragment,
  kTransmit,
  kPunt,
  kCount
};
inline constexpr unsigned kStageCount = static_cast<unsigned>(Stage::kCount);
inline constexpr const char* kStageNames[kStageCount] = {
    "receive", "classify",    "inbound_sa", "esp_decrypt", "inbound_policy", "outbound_policy",
    "route",   "esp_encrypt", "forward",    "fragment",    "transmit",       "punt"};

struct alignas(kCacheLine) StageCounters {
  Counter packets;
  Counter bursts;
  Counter cycles;  // only while cycle counting is on
};

// Conservation, checked by tests at rest:
//   received + from_host + generated + fragments = sent + to_host + merged + held + sum(drops)
struct WorkerCounters {
  WorkerCounters();

  alignas(kCacheLine) Counter received;  // from ports
  Counter from_host;                     // taken from mirror and tunnel devices
  Counter generated;                     // ICMP errors, TFC dummies made here
  Counter fragments;                     // packets gained by fragmenting: pieces minus one
  Counter sent;                          // taken by a port's driver
  Counter to_host;                       // queued to the host path
  Counter merged;                        // packets lost by reassembly: pieces minus one
  Counter held;                          // gauge: in reassembly or waiting for a neighbour
  alignas(kCacheLine) Counter polls;
  Counter idle_polls;
  Counter sleeps;
  Counter busy_cycles;
  Counter bursts;
  Counter burst_packets;

  Counter drops[kDropReasonCount];
  LastDrop last_drops[kDropReasonCount];
  StageCounters stages[kStageCount];
  PortCounters ports[kMaxPorts];
  LazyArray<TunnelCounters> tunnels{kMaxTunnels};
  LazyArray<SaCounters> sas{kMaxSas};
  LazyArray<LateHistogram> late_histograms{4096};  // given out at first late packet of an SA
  uint32_t late_histograms_used = 0;
};

// What went in minus what came out, by the equation above: 0 when the worker is at rest.
int64_t PacketBalance(const WorkerCounters& counters);

}  // namespace penstock
