// SPI to inbound SA, and the slots (counter indexes) of all SAs. Our own SPIs are indexes: the low 20
// bits are the slot, the high 12 are random; SPIs that others chose take that way too while their slot
// is free, and a hash otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/ipsec/sa.h"
#include "dataplane/runtime/epoch.h"

namespace penstock {

class Sad {
 public:
  explicit Sad(Epoch& epoch);
  ~Sad();

  // Worker side: null if there is none. Two loads for our own SPIs. The caller compares the outer
  // destination with the SA's.
  InboundSa* Find(Be32 spi) const {
    const Entry& entry = entries_[spi.ToHost() & kSlotMask];
    if (entry.spi.load(std::memory_order_acquire) == spi.raw()) [[likely]] {
      return entry.sa.load(std::memory_order_relaxed);
    }
    return FindForeign(spi);
  }
  void Prefetch(Be32 spi) const { __builtin_prefetch(&entries_[spi.ToHost() & kSlotMask]); }

  // Control side.
  // A fresh SPI (host order) whose slot is kept until InsertInbound or ReleaseSpi.
  Result<uint32_t> ReserveSpi();
  bool IsReserved(uint32_t spi) const;
  void ReleaseSpi(uint32_t spi);
  // A slot for counters of an SA with this inbound SPI (reserved or not), or of an outbound SA.
  Result<uint32_t> SlotForInbound(uint32_t spi);
  Result<uint32_t> SlotForOutbound();
  void ReleaseSlot(uint32_t slot);  // counters are zeroed and the slot reused after a grace period
  // Publishes; errors: the SPI is in use. The SAD owns it from here.
  Status InsertInbound(std::unique_ptr<InboundSa> sa);
  // Unpublishes; freed, key and all, one grace period later. Errors: not found.
  Status RemoveInbound(uint32_t spi);
  InboundSa* FindForControl(uint32_t spi) const;
  std::vector<InboundSa*> inbound() const;  // ordered by SPI
  // Called for every slot whose grace period is over, so that the owner of counters can zero them.
  void OnSlotFree(std::function<void(uint32_t slot)> callback);

 private:
  static constexpr uint32_t kSlotMask = kMaxSas - 1;
  struct Entry {
    std::atomic<uint32_t> spi;  // network order raw; 0: none
    std::atomic<InboundSa*> sa;
  };
  InboundSa* FindForeign(Be32 spi) const;
  struct Control;

  Epoch& epoch_;
  LazyArray<Entry> entries_{kMaxSas};
  std::unique_ptr<Control> control_;
};

}  // namespace penstock
