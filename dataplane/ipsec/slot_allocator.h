// Who has which SA slot: inbound SAs from the bottom, outbound SAs from the top of one range.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "dataplane/runtime/counters.h"

namespace penstock {

enum class SlotState : uint8_t {
  kFree,
  kReserved,  // an SPI was given out for it
  kTaken,     // an SA is being built with it, or it is an outbound SA's
  kLive,      // the slot of a published inbound SA
  kReleased,  // waits for its grace period
};

// Control thread only. Slots that were used before are given out first, the one that rested longest
// before the others, so that counter arrays stay compact. Slot 0 is never given out.
class SlotAllocator {
 public:
  std::optional<uint32_t> TakeFromBottom(SlotState state);
  std::optional<uint32_t> TakeFromTop(SlotState state);
  // A given slot, if it is free.
  bool TakeExactly(uint32_t slot, SlotState state);
  void Free(uint32_t slot);

  SlotState state(uint32_t slot) const { return slots_[slot].state; }
  void set_state(uint32_t slot, SlotState state) { slots_[slot].state = state; }
  // The inbound SPI (host order) for which the slot was last given out; 0: none.
  uint32_t spi(uint32_t slot) const { return slots_[slot].spi; }
  void set_spi(uint32_t slot, uint32_t spi) { slots_[slot].spi = spi; }

 private:
  struct Slot {
    uint32_t spi;
    SlotState state;
    bool listed;  // stands in one of the two lists
  };
  std::optional<uint32_t> TakeListed(std::deque<uint32_t>& list, SlotState state);

  LazyArray<Slot> slots_{kMaxSas};
  std::deque<uint32_t> used_bottom_;
  std::deque<uint32_t> used_top_;
  uint32_t low_ = 1;         // slots below were given out at least once, from the bottom
  uint32_t high_ = kMaxSas;  // slots from here on likewise, from the top
};

}  // namespace penstock
