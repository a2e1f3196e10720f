// Prefix -> what is wanted for it: one compact hash table for each family, for a million routes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "dataplane/base/ip_address.h"
#include "dataplane/route/huge_array.h"
#include "dataplane/route/prefix_key.h"

namespace penstock {

// What is kept of one prefix. The usual route has one source and lies here whole; several sources
// have a list of their own, whose index `path` then is.
struct RouteEntry {
  static constexpr unsigned kEmpty = 0;    // no entry
  static constexpr unsigned kNobody = 1;   // a protected prefix without a route of its own
  static constexpr unsigned kSeveral = 2;  // more than one source
  static constexpr unsigned kFirstSource = 3;

  uint32_t path;
  uint32_t installed : 20;  // next hop in the FIB; 0: none
  uint32_t length : 8;
  uint32_t holder : 4;  // one of the above, or kFirstSource + source
  uint32_t generation;  // of the BGP route: see RouteTable::MarkAll
};
static_assert(sizeof(RouteEntry) == 12);

// Open addressing with linear probing; an erased entry's followers move up, so there are no
// tombstones and a table that churns stays as fast as a new one. Pointers hold until the next
// insertion or erasure.
template <typename Key>
class PrefixTable {
 public:
  PrefixTable() : slots_(std::make_unique<Slots>(size_t{1} << bits_)) {}

  RouteEntry* Find(Key key, unsigned length) {
    for (size_t at = Home(key, length);; at = Next(at)) {
      Slot& slot = (*slots_)[at];
      if (slot.entry.holder == RouteEntry::kEmpty) {
        return nullptr;
      }
      if (slot.key == key && slot.entry.length == length) {
        return &slot.entry;
      }
    }
  }

  // The entry, made if there is none; a new one is kNobody's.
  RouteEntry* FindOrInsert(Key key, unsigned length) {
    if (size_ + 1 > capacity() / 8 * 6) {
      Grow();
    }
    size_t at = Home(key, length);
    for (;; at = Next(at)) {
      Slot& slot = (*slots_)[at];
      if (slot.entry.holder == RouteEntry::kEmpty) {
        break;
      }
      if (slot.key == key && slot.entry.length == length) {
        return &slot.entry;
      }
    }
    Slot& slot = (*slots_)[at];
    slot.key = key;
    slot.entry = {};
    slot.entry.length = length & 0xff;
    slot.entry.holder = RouteEntry::kNobody;
    ++size_;
    return &slot.entry;
  }

  void Erase(Key key, unsigned length) {
    size_t hole = Home(key, length);
    for (;; hole = Next(hole)) {
      const Slot& slot = (*slots_)[hole];
      if (slot.entry.holder == RouteEntry::kEmpty) {
        return;
      }
      if (slot.key == key && slot.entry.length == length) {
        break;
      }
    }
    for (size_t at = Next(hole); (*slots_)[at].entry.holder != RouteEntry::kEmpty; at = Next(at)) {
      const Slot& slot = (*slots_)[at];
      const size_t from_home = (at - Home(slot.key, slot.entry.length)) & (capacity() - 1);
      const size_t from_hole = (at - hole) & (capacity() - 1);
      if (from_home >= from_hole) {
        (*slots_)[hole] = slot;
        hole = at;
      }
    }
    (*slots_)[hole].entry = {};
    --size_;
  }

  void Prefetch(Key key, unsigned length) const {
    __builtin_prefetch(&(*slots_)[Home(key, length)], 1);
  }

  // Slots by number, for walks that may pause: the key and entry, or null where the slot is empty.
  RouteEntry* At(size_t index, Key& key) {
    Slot& slot = (*slots_)[index];
    key = slot.key;
    return slot.entry.holder == RouteEntry::kEmpty ? nullptr : &slot.entry;
  }
  size_t capacity() const { return size_t{1} << bits_; }
  size_t size() const { return size_; }
  size_t memory_bytes() const { return slots_->resident_bytes(); }

 private:
  struct Slot {
    Key key;
    RouteEntry entry;
  };
  static_assert(sizeof(Slot) == (sizeof(Key) == 4 ? 16 : 32));
  using Slots = HugeArray<Slot>;

  size_t Next(size_t at) const { return (at + 1) & (capacity() - 1); }
  size_t Home(Key key, unsigned length) const {
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
    uint64_t folded = static_cast<uint64_t>(key);
    if constexpr (sizeof(Key) > 8) {
      folded = (static_cast<uint64_t>(key >> 64) * 0xff51afd7ed558ccd) ^ (folded << 8 | length);
      folded ^= folded >> 32;
    } else {
      folded = folded << 8 | length;
    }
    return static_cast<size_t>(folded * kGolden >> (64 - bits_));
  }

  void Grow() {
    const std::unique_ptr<Slots> old = std::move(slots_);
    const size_t old_capacity = capacity();
    ++bits_;
    slots_ = std::make_unique<Slots>(capacity());
    for (size_t i = 0; i < old_capacity; ++i) {
      const Slot& slot = (*old)[i];
      if (slot.entry.holder != RouteEntry::kEmpty) {
        size_t at = Home(slot.key, slot.entry.length);
        while ((*slots_)[at].entry.holder != RouteEntry::kEmpty) {
          at = Next(at);
        }
        (*slots_)[at] = slot;
      }
    }
  }

  unsigned bits_ = 12;
  std::unique_ptr<Slots> slots_;
  size_t size_ = 0;
};

// Both families behind one face.
class WantedRoutes {
 public:
  RouteEntry* Find(const Prefix& prefix) {
    return prefix.family() == Family::kIpv4
               ? v4_.Find(KeyOf<Key4>(prefix.address()), prefix.length())
               : v6_.Find(KeyOf<Key6>(prefix.address()), prefix.length());
  }
  const RouteEntry* Find(const Prefix& prefix) const {
    return const_cast<WantedRoutes*>(this)->Find(prefix);
  }
  RouteEntry* FindOrInsert(const Prefix& prefix) {
    return prefix.family() == Family::kIpv4
               ? v4_.FindOrInsert(KeyOf<Key4>(prefix.address()), prefix.length())
               : v6_.FindOrInsert(KeyOf<Key6>(prefix.address()), prefix.length());
  }
  void Erase(const Prefix& prefix) {
    prefix.family() == Family::kIpv4 ? v4_.Erase(KeyOf<Key4>(prefix.address()), prefix.length())
                                     : v6_.Erase(KeyOf<Key6>(prefix.address()), prefix.length());
  }
  void Prefetch(const Prefix& prefix) const {
    prefix.family() == Family::kIpv4 ? v4_.Prefetch(KeyOf<Key4>(prefix.address()), prefix.length())
                                     : v6_.Prefetch(KeyOf<Key6>(prefix.address()), prefix.length());
  }

  // A walk over all entries by slot number, in no order. Entries that an erasure moves are met at
  // the number where it happened, or later.
  size_t slots() const { return v4_.capacity() + v6_.capacity(); }
  RouteEntry* At(size_t slot, Prefix& prefix) {
    return slot < v4_.capacity() ? At(v4_, slot, prefix) : At(v6_, slot - v4_.capacity(), prefix);
  }
  // `visit(prefix, entry)` must not insert or erase.
  template <typename Visitor>
  void ForEach(const Visitor& visit) const {
    auto* self = const_cast<WantedRoutes*>(this);
    Prefix prefix;
    for (size_t slot = 0; slot < slots(); ++slot) {
      if (const RouteEntry* entry = self->At(slot, prefix)) {
        visit(prefix, *entry);
      }
    }
  }

  size_t size() const { return v4_.size() + v6_.size(); }
  size_t memory_bytes() const { return v4_.memory_bytes() + v6_.memory_bytes(); }

 private:
  template <typename Key>
  static RouteEntry* At(PrefixTable<Key>& table, size_t slot, Prefix& prefix) {
    Key key;
    RouteEntry* entry = table.At(slot, key);
    if (entry != nullptr) {
      prefix = Prefix(AddressOf<Key>(key), static_cast<uint8_t>(entry->length));
    }
    return entry;
  }

  PrefixTable<Key4> v4_;
  PrefixTable<Key6> v6_;
};

}  // namespace penstock
