// The SAs whose SPI is not the index of their slot, by SPI: open addressing that workers read
// without a lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "dataplane/ipsec/sa.h"

namespace penstock {

// Cells are single words, so that a reader sees an SA or none and never a mixture. The control
// thread writes; a table that is half full of entries and graves is rebuilt and published anew.
class ForeignTable {
 public:
  // Room for `entries` of them before CanInsert says no; at least 32.
  explicit ForeignTable(uint32_t entries)
      : cells_(std::bit_ceil(std::max(entries, 32u)) * 2),
        mask_(cells_ - 1),
        table_(std::make_unique<std::atomic<InboundSa*>[]>(cells_)) {}

  // Any thread; the SA is valid until the caller's next quiet point.
  InboundSa* Find(Be32 spi) const {
    for (uint32_t cell = Hash(spi);; ++cell) {
      InboundSa* sa = table_[cell & mask_].load(std::memory_order_acquire);
      if (sa == nullptr) {
        return nullptr;
      }
      if (sa != Grave() && sa->spi == spi) {
        return sa;
      }
    }
  }

  // Control thread from here on.
  bool CanInsert() const { return used_ < cells_ / 2; }  // an empty cell ends every search
  uint32_t entries() const { return entries_; }

  void Insert(InboundSa* sa) {
    uint32_t cell = Hash(sa->spi);
    while (table_[cell & mask_].load(std::memory_order_relaxed) != nullptr) {
      ++cell;
    }
    table_[cell & mask_].store(sa, std::memory_order_release);
    ++used_;
    ++entries_;
  }

  void Remove(const InboundSa* sa) {
    for (uint32_t cell = Hash(sa->spi);; ++cell) {
      InboundSa* found = table_[cell & mask_].load(std::memory_order_relaxed);
      if (found == nullptr) {
        return;
      }
      if (found == sa) {
        table_[cell & mask_].store(Grave(), std::memory_order_release);
        --entries_;
        return;
      }
    }
  }

  template <typename Function>
  void ForEach(Function function) const {
    for (uint32_t cell = 0; cell < cells_; ++cell) {
      InboundSa* sa = table_[cell].load(std::memory_order_relaxed);
      if (sa != nullptr && sa != Grave()) {
        function(sa);
      }
    }
  }

 private:
  // Marks a cell whose entry went: searches pass over it. Never dereferenced.
  static InboundSa* Grave() { return reinterpret_cast<InboundSa*>(uintptr_t{kCacheLine}); }
  // Multiplicative hashing spreads SPIs that differ in their high bits only.
  static uint32_t Hash(Be32 spi) {
    const uint64_t product = uint64_t{spi.ToHost()} * 0x9e3779b97f4a7c15u;
    return static_cast<uint32_t>(product >> 32);
  }

  uint32_t cells_;  // a power of two
  uint32_t mask_;
  uint32_t used_ = 0;  // entries and graves
  uint32_t entries_ = 0;
  std::unique_ptr<std::atomic<InboundSa*>[]> table_;
};

}  // namespace penstock
