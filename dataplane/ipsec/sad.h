// SPI to inbound SA, and the slots (counter indexes) of all SAs. Our own SPIs are indexes: the low
// 20 bits are the slot, the high 12 are random; SPIs that others chose take that way too while
// their slot is free, and a hash otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/ipsec/foreign_table.h"
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
      return entry.sa.load(std::memory_order_acquire);
    }
    return FindForeign(spi);
  }
  // True for an SPI that was given out and whose SA has not come yet.
  bool IsAwaited(Be32 spi) const {
    const Entry& entry = entries_[spi.ToHost() & kSlotMask];
    return spi.raw() != 0 && entry.spi.load(std::memory_order_acquire) == spi.raw() &&
           entry.sa.load(std::memory_order_acquire) == nullptr;
  }
  void Prefetch(Be32 spi) const { __builtin_prefetch(&entries_[spi.ToHost() & kSlotMask]); }

  // Control side.
  // A fresh SPI (host order) whose slot is kept until InsertInbound or ReleaseSpi.
  Result<uint32_t> ReserveSpi();
  bool IsReserved(uint32_t spi) const;
  // Gives back an SPI that was reserved and never used; otherwise does nothing.
  void ReleaseSpi(uint32_t spi);
  // A slot for counters of an SA with this inbound SPI (reserved or not), or of an outbound SA.
  // Errors: the SPI is in use; all slots are taken.
  Result<uint32_t> SlotForInbound(uint32_t spi);
  Result<uint32_t> SlotForOutbound();
  // For outbound SAs after they were unpublished, and for slots that never came to use: the slot is
  // given out again after a grace period. RemoveInbound does it for its SA; doing it twice is
  // harmless until the slot is given out again.
  void ReleaseSlot(uint32_t slot);
  // Publishes; errors: the SPI is in use, or the SA's slot is not one that was given for it. The
  // SAD owns the SA from here; after an error it is gone and the slot is as before.
  Status InsertInbound(std::unique_ptr<InboundSa> sa);
  // Unpublishes; freed, key and all, and its slot released, one grace period later. Errors: not
  // found.
  Status RemoveInbound(uint32_t spi);
  InboundSa* FindForControl(uint32_t spi) const;
  std::vector<InboundSa*> inbound() const;  // ordered by SPI
  // Called for every slot whose grace period is over, so that the owner of counters can zero them.
  void OnSlotFree(std::function<void(uint32_t slot)> callback);

 private:
  static constexpr uint32_t kSlotMask = kMaxSas - 1;
  struct Entry {
    std::atomic<uint32_t> spi;   // network order raw; 0: none
    std::atomic<InboundSa*> sa;  // null: the SPI is reserved
  };
  struct Control;
  InboundSa* FindForeign(Be32 spi) const;
  void InsertForeign(InboundSa* sa);

  Epoch& epoch_;
  LazyArray<Entry> entries_{kMaxSas};
  Published<ForeignTable> foreign_;
  std::shared_ptr<Control>
      control_;  // deferred work holds it weakly: it may run after the Sad is gone
};

}  // namespace penstock
