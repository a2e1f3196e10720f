#include "dataplane/ipsec/slot_allocator.h"

namespace penstock {

std::optional<uint32_t> SlotAllocator::TakeListed(std::deque<uint32_t>& list, SlotState state) {
  while (!list.empty()) {
    const uint32_t slot = list.front();
    list.pop_front();
    slots_[slot].listed = false;
    if (TakeExactly(slot, state)) {  // else a foreign SPI got it in the meantime
      return slot;
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> SlotAllocator::TakeFromBottom(SlotState state) {
  if (const auto slot = TakeListed(used_bottom_, state)) {
    return slot;
  }
  while (low_ < high_) {
    if (TakeExactly(low_++, state)) {
      return low_ - 1;
    }
  }
  return TakeListed(used_top_, state);
}

std::optional<uint32_t> SlotAllocator::TakeFromTop(SlotState state) {
  if (const auto slot = TakeListed(used_top_, state)) {
    return slot;
  }
  while (low_ < high_) {
    if (TakeExactly(--high_, state)) {
      return high_;
    }
  }
  return TakeListed(used_bottom_, state);
}

bool SlotAllocator::TakeExactly(uint32_t slot, SlotState state) {
  if (slot == 0 || slots_[slot].state != SlotState::kFree) {
    return false;
  }
  slots_[slot].state = state;
  return true;
}

void SlotAllocator::Free(uint32_t slot) {
  slots_[slot].state = SlotState::kFree;
  if (slots_[slot].listed) {
    return;
  }
  // Slots between the two marks are found by the marks when these get there.
  if (slot < low_) {
    slots_[slot].listed = true;
    used_bottom_.push_back(slot);
  } else if (slot >= high_) {
    slots_[slot].listed = true;
    used_top_.push_back(slot);
  }
}

}  // namespace penstock
