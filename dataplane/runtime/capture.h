// Packet capture: a tap that workers offer packets to while somebody listens, and the pcapng bytes
// that come out of it on the control thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/packet/packet.h"
#include "dataplane/runtime/counters.h"

namespace penstock {

struct WorkerContext;

enum class CapturePoint : uint8_t {
  kPort,    // frames as received from and sent to a port
  kTunnel,  // inner packets, after decapsulation and before encapsulation
  kDrop,    // what was dropped, with the reason as the packet's comment
};

struct CaptureOptions {
  CapturePoint point = CapturePoint::kPort;
  uint16_t port = kNoPort;       // kPort: which; kNoPort: all
  uint32_t tunnel = kNoTunnel;   // kTunnel: which; kNoTunnel: all
  int drop_reason = -1;          // kDrop: which; -1: all
  std::string filter = {};       // pcap-filter(7) expression; empty: everything
  uint64_t packet_limit = 0;     // 0: none
  uint32_t snap_length = 65535;  // cut to 16 KiB
};

// One capture. The control thread makes it, puts it into every worker's `capture` pointer, reads
// it, takes it out again and frees it after a grace period.
class Capture {
 public:
  // Errors: a filter that does not compile (libpcap's message is quoted).
  static Result<std::unique_ptr<Capture>> Make(const CaptureOptions& options);
  ~Capture();

  // Worker side. Copies at most the snap length into a bounded ring; a full ring loses the copy and
  // counts it, never the packet. `offset`: where the captured bytes start in the packet's data.
  bool Wants(CapturePoint point, uint32_t index) const {
    return options_.point == point && (any_ || index == index_);
  }
  void Offer(WorkerContext& worker, const Packet* packet, unsigned offset, bool outbound,
             uint16_t port, uint32_t tunnel, const DropReason* reason);
  // For Drop(): finds out itself whether the packet still starts with its link header.
  void OfferDropped(WorkerContext& worker, const Packet* packet, DropReason reason);

  // Control side: appends what has been captured since the last call, as pcapng blocks (the first
  // call starts with section and interface blocks). Returns false once the packet limit is reached
  // and all is read.
  bool Read(std::string& pcapng);
  uint64_t captured() const;
  uint64_t lost() const;

 private:
  Capture() = default;
  CaptureOptions options_;
  bool any_ = true;
  uint32_t index_ = 0;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
