#include "dataplane/ipsec/sad.h"

#include <sys/random.h>

#include <cerrno>
#include <map>

#include "dataplane/ipsec/slot_allocator.h"

namespace penstock {
namespace {

constexpr unsigned kSlotBits = 20;
static_assert(kMaxSas == 1u << kSlotBits);
constexpr uint32_t kRandomValues = 1u << (32 - kSlotBits);

// 1 to 4095: never 0, so that our SPIs are never below 256 (reserved, RFC 4303 2.1).
Result<uint32_t> RandomHighBits() {
  for (;;) {
    uint16_t number = 0;
    const ssize_t length = getrandom(&number, sizeof(number), 0);
    if (length == sizeof(number)) {
      const uint32_t high = number % kRandomValues;
      if (high != 0) {
        return high;
      }
    } else if (length >= 0 || errno != EINTR) {
      return Fail(Errc::kInternal, "no random numbers from the kernel for an SPI");
    }
  }
}

}  // namespace

struct Sad::Control {
  SlotAllocator slots;
  std::map<uint32_t, std::unique_ptr<InboundSa>> by_spi;  // host order
  std::function<void(uint32_t)> on_slot_free;
  ForeignTable* foreign = nullptr;  // the published one, for its one writer
};

Sad::Sad(Epoch& epoch) : epoch_(epoch), foreign_(epoch), control_(std::make_shared<Control>()) {}

Sad::~Sad() = default;

InboundSa* Sad::FindForeign(Be32 spi) const {
  const ForeignTable* table = foreign_.Read();
  return table != nullptr ? table->Find(spi) : nullptr;
}

Result<uint32_t> Sad::ReserveSpi() {
  epoch_.Reclaim();
  SlotAllocator& slots = control_->slots;
  const std::optional<uint32_t> slot = slots.TakeFromBottom(SlotState::kReserved);
  if (!slot) {
    return Fail(Errc::kExhausted, "no SPI is free, all {} SA slots are taken", kMaxSas - 1);
  }
  for (;;) {
    const Result<uint32_t> high = RandomHighBits();
    if (!high) {
      slots.Free(*slot);
      return high;
    }
    const uint32_t spi = *high << kSlotBits | *slot;
    // Not the one that the slot had before: its last packets may still be on their way. Not one
    // that a foreign SA has in another slot.
    if (spi != slots.spi(*slot) && FindForControl(spi) == nullptr) {
      slots.set_spi(*slot, spi);
      Entry& entry = entries_[*slot];
      entry.sa.store(nullptr, std::memory_order_relaxed);
      entry.spi.store(Be32::FromHost(spi).raw(), std::memory_order_release);
      return spi;
    }
  }
}

bool Sad::IsReserved(uint32_t spi) const {
  const uint32_t slot = spi & kSlotMask;
  return control_->slots.state(slot) == SlotState::kReserved && control_->slots.spi(slot) == spi;
}

void Sad::ReleaseSpi(uint32_t spi) {
  if (IsReserved(spi)) {
    entries_[spi & kSlotMask].spi.store(0, std::memory_order_release);
    control_->slots.Free(spi & kSlotMask);  // no worker has anything of it
  }
}

Result<uint32_t> Sad::SlotForInbound(uint32_t spi) {
  if (FindForControl(spi) != nullptr) {
    return Fail(Errc::kAlreadyExists, "spi 0x{:08x} is in use", spi);
  }
  if (IsReserved(spi)) {
    return spi & kSlotMask;
  }
  epoch_.Reclaim();
  SlotAllocator& slots = control_->slots;
  std::optional<uint32_t> slot = spi & kSlotMask;
  if (!slots.TakeExactly(*slot, SlotState::kTaken)) {
    slot = slots.TakeFromBottom(SlotState::kTaken);
  }
  if (!slot) {
    return Fail(Errc::kExhausted, "no slot for spi 0x{:08x}, all {} SA slots are taken", spi,
                kMaxSas - 1);
  }
  slots.set_spi(*slot, spi);
  return *slot;
}

Result<uint32_t> Sad::SlotForOutbound() {
  epoch_.Reclaim();
  const std::optional<uint32_t> slot = control_->slots.TakeFromTop(SlotState::kTaken);
  if (!slot) {
    return Fail(Errc::kExhausted, "no slot for an outbound SA, all {} SA slots are taken",
                kMaxSas - 1);
  }
  control_->slots.set_spi(*slot, 0);
  return *slot;
}

void Sad::ReleaseSlot(uint32_t slot) {
  PENSTOCK_CHECK(slot < kMaxSas);
  SlotAllocator& slots = control_->slots;
  const SlotState state = slots.state(slot);
  // A live inbound SA's slot goes with the SA.
  if (state != SlotState::kTaken && state != SlotState::kReserved) {
    return;
  }
  slots.set_state(slot, SlotState::kReleased);
  epoch_.Defer([weak = std::weak_ptr<Control>(control_), slot] {
    if (const auto control = weak.lock()) {
      if (control->on_slot_free) {
        control->on_slot_free(slot);
      }
      control->slots.Free(slot);
    }
  });
}

Status Sad::InsertInbound(std::unique_ptr<InboundSa> sa) {
  SlotAllocator& slots = control_->slots;
  const uint32_t spi = sa->spi.ToHost();
  const uint32_t slot = sa->slot;
  if (FindForControl(spi) != nullptr) {
    return Fail(Errc::kAlreadyExists, "spi 0x{:08x} is in use", spi);
  }
  const bool given =
      slot < kMaxSas && slots.spi(slot) == spi &&
      (slots.state(slot) == SlotState::kTaken || slots.state(slot) == SlotState::kReserved);
  if (!given) {
    return Fail(Errc::kInvalidArgument, "slot {} was not given to spi 0x{:08x}", slot, spi);
  }
  slots.set_state(slot, SlotState::kLive);
  InboundSa* published = sa.get();
  control_->by_spi.emplace(spi, std::move(sa));
  if (slot == (spi & kSlotMask)) {
    Entry& entry = entries_[slot];
    // A reserved SPI stands there already.
    entry.sa.store(published, std::memory_order_release);
    entry.spi.store(published->spi.raw(), std::memory_order_release);
  } else {
    InsertForeign(published);
  }
  return {};
}

void Sad::InsertForeign(InboundSa* sa) {
  ForeignTable* table = control_->foreign;
  if (table == nullptr || !table->CanInsert()) {
    auto next = std::make_unique<ForeignTable>(table != nullptr ? table->entries() * 2 : 0);
    if (table != nullptr) {
      table->ForEach([&next](InboundSa* entry) { next->Insert(entry); });
    }
    next->Insert(sa);
    control_->foreign = next.get();
    foreign_.Replace(std::move(next));
    return;
  }
  table->Insert(sa);
}

Status Sad::RemoveInbound(uint32_t spi) {
  const auto found = control_->by_spi.find(spi);
  if (found == control_->by_spi.end()) {
    return Fail(Errc::kNotFound, "no inbound SA with spi 0x{:08x}", spi);
  }
  const uint32_t slot = found->second->slot;
  if (slot == (spi & kSlotMask)) {
    entries_[slot].spi.store(0, std::memory_order_release);
  } else {
    control_->foreign->Remove(found->second.get());
  }
  InboundSa* sa = found->second.release();
  control_->by_spi.erase(found);
  epoch_.Defer([sa] { delete sa; });
  control_->slots.set_state(slot, SlotState::kTaken);
  ReleaseSlot(slot);
  return {};
}

InboundSa* Sad::FindForControl(uint32_t spi) const {
  const auto found = control_->by_spi.find(spi);
  return found != control_->by_spi.end() ? found->second.get() : nullptr;
}

std::vector<InboundSa*> Sad::inbound() const {
  std::vector<InboundSa*> all;
  all.reserve(control_->by_spi.size());
  for (const auto& [spi, sa] : control_->by_spi) {
    all.push_back(sa.get());
  }
  return all;
}

void Sad::OnSlotFree(std::function<void(uint32_t slot)> callback) {
  control_->on_slot_free = std::move(callback);
}

}  // namespace penstock
