// The table that workers read: 2^24 words for the first 24 bits of an address, chunks of 256 words
// for each further 8. One implementation for both families: IPv4 has one level of chunks, IPv6
// thirteen.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "dataplane/route/huge_array.h"
#include "dataplane/route/prefix_key.h"
#include "dataplane/route/retire_queue.h"

namespace penstock {

// A word: bit 31 set: low bits are a chunk's index. Else bits 0-19 are the next hop and 20-27 the
// length of the prefix that it came from, so that a change knows which words are its to overwrite.
// Zero is empty: there the default route holds, which is a word of its own, for else setting it
// would touch the whole table.
//
// Each step of a change leaves every word right for all prefixes that do not change: a new chunk is
// filled with what its word held before it is published, an emptied one is replaced by what it
// holds.
template <typename Key>
class LpmTable {
 public:
  static constexpr unsigned kFirstBits = 24;
  static constexpr unsigned kLevels = (kKeyBits<Key> - kFirstBits) / 8;
  static constexpr uint32_t kChunkSize = 256;

  LpmTable(Epoch& epoch, uint32_t max_chunks)
      : max_chunks_(max_chunks),
        first_(size_t{1} << kFirstBits),
        chunks_(size_t{max_chunks} * kChunkSize),
        used_(max_chunks),
        retired_(epoch, [this](uint32_t chunk) { free_.push_back(chunk); }) {}

  // Workers: next hops of `count` addresses, each sizeof(Key) bytes in network order.
  void Lookup(const uint8_t* addresses, uint32_t* next_hops, unsigned count) const;

  // Control thread. Whether there are chunks enough to set this prefix; changes nothing.
  bool HasRoomFor(Key key, unsigned length);
  // `is_new`: the prefix was not in the table. Only after HasRoomFor.
  void Set(Key key, unsigned length, uint32_t next_hop, bool is_new);
  // `cover_*`: the longest prefix around the removed one; length 0 if that is the default or none.
  void Remove(Key key, unsigned length, unsigned cover_length, uint32_t cover_next_hop);

  uint32_t max_chunks() const { return max_chunks_; }
  uint32_t chunks_in_use() const { return in_use_; }
  size_t memory_bytes() const {
    return first_.resident_bytes() + chunks_.resident_bytes() + used_.resident_bytes();
  }

 private:
  using Word = std::atomic<uint32_t>;
  static_assert(sizeof(Word) == 4);
  static constexpr uint32_t kChunkFlag = 1u << 31;
  static constexpr uint32_t kNextHopMask = (1u << 20) - 1;

  static constexpr bool IsChunk(uint32_t word) { return (word & kChunkFlag) != 0; }
  static constexpr uint32_t ChunkOf(uint32_t word) { return word & ~kChunkFlag; }
  static constexpr unsigned LengthOf(uint32_t word) { return word >> 20; }
  static constexpr uint32_t MakeWord(unsigned length, uint32_t next_hop) {
    return length << 20 | (next_hop & kNextHopMask);
  }
  static constexpr uint32_t FirstIndex(Key key) {
    return static_cast<uint32_t>(key >> (kKeyBits<Key> - kFirstBits));
  }
  static constexpr uint32_t IndexAt(Key key, unsigned level) {
    return static_cast<uint32_t>(key >> (kKeyBits<Key> - kFirstBits - 8 * (level + 1))) & 0xff;
  }
  // Levels of chunks that a prefix of this length passes through.
  static constexpr unsigned LevelsFor(unsigned length) {
    return length <= kFirstBits ? 0 : (length - kFirstBits + 7) / 8;
  }
  static void Store(Word& word, uint32_t value) { word.store(value, std::memory_order_release); }
  static uint32_t Load(const Word& word) { return word.load(std::memory_order_relaxed); }
  Word* ChunkAt(uint32_t chunk) { return &chunks_[size_t{chunk} * kChunkSize]; }

  // The words that a prefix spans on its own level, and the chain of chunks that leads there.
  struct Place {
    Word* begin = nullptr;
    uint32_t count = 0;
    unsigned levels = 0;
    std::array<Word*, kLevels> links{};  // the word that points to the chunk of each level
    std::array<uint32_t, kLevels> chunks{};
  };
  Place Locate(Key key, unsigned length, bool create);
  uint32_t Publish(Word& link);
  uint32_t TakeChunk();
  template <typename Change>
  void ForEachWord(Word* begin, uint32_t count, const Change& change);
  void Shrink(const Place& place);

  uint32_t max_chunks_;
  HugeArray<Word> first_;
  HugeArray<Word> chunks_;
  HugeArray<uint32_t> used_;  // by chunk: prefixes that end in it and chunks that hang from it
  std::vector<uint32_t> free_;
  uint32_t fresh_ = 0;   // chunks from here on were never used
  uint32_t in_use_ = 0;  // published, without those that wait for their grace period
  Word default_{0};
  RetireQueue<uint32_t> retired_;
};

template <typename Key>
void LpmTable<Key>::Lookup(const uint8_t* addresses, uint32_t* next_hops, unsigned count) const {
  // Level by level over the whole burst: the loads of one pass do not depend on each other, so
  // their cache misses overlap.
  uint32_t chunk_seen = 0;
  for (unsigned i = 0; i < count; ++i) {
    uint32_t head;
    std::memcpy(&head, addresses + size_t{i} * sizeof(Key), sizeof(head));
    const uint32_t word = first_[SwapBytes(head) >> 8].load(std::memory_order_acquire);
    next_hops[i] = word;
    chunk_seen |= word;
  }
  for (unsigned level = 0; level < kLevels && IsChunk(chunk_seen); ++level) {
    chunk_seen = 0;
    for (unsigned i = 0; i < count; ++i) {
      uint32_t word = next_hops[i];
      if (IsChunk(word)) {
        const uint8_t index = addresses[size_t{i} * sizeof(Key) + kFirstBits / 8 + level];
        word = chunks_[size_t{ChunkOf(word)} * kChunkSize + index].load(std::memory_order_acquire);
        next_hops[i] = word;
        chunk_seen |= word;
      }
    }
  }
  const uint32_t fallback = default_.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < count; ++i) {
    next_hops[i] = (next_hops[i] != 0 ? next_hops[i] : fallback) & kNextHopMask;
  }
}

template <typename Key>
bool LpmTable<Key>::HasRoomFor(Key key, unsigned length) {
  const unsigned levels = LevelsFor(length);
  if (levels == 0) {
    return true;
  }
  uint32_t word = Load(first_[FirstIndex(key)]);
  unsigned level = 0;
  while (level < levels && IsChunk(word)) {
    word = level + 1 < levels ? Load(ChunkAt(ChunkOf(word))[IndexAt(key, level)]) : 0;
    ++level;
  }
  const uint32_t missing = levels - level;
  if (free_.size() + (max_chunks_ - fresh_) < missing) {
    retired_.Reclaim();
  }
  return free_.size() + (max_chunks_ - fresh_) >= missing;
}

template <typename Key>
uint32_t LpmTable<Key>::TakeChunk() {
  uint32_t chunk;
  if (!free_.empty()) {
    chunk = free_.back();
    free_.pop_back();
  } else {
    PENSTOCK_CHECK(fresh_ < max_chunks_);
    chunk = fresh_++;
  }
  used_[chunk] = 0;
  ++in_use_;
  return chunk;
}

// Puts a chunk under a word; all addresses below keep their answer.
template <typename Key>
uint32_t LpmTable<Key>::Publish(Word& link) {
  const uint32_t chunk = TakeChunk();
  const uint32_t inherited = Load(link);
  Word* words = ChunkAt(chunk);
  for (uint32_t i = 0; i < kChunkSize; ++i) {
    words[i].store(inherited, std::memory_order_relaxed);
  }
  Store(link, chunk | kChunkFlag);
  return chunk;
}

template <typename Key>
typename LpmTable<Key>::Place LpmTable<Key>::Locate(Key key, unsigned length, bool create) {
  Place place;
  place.levels = LevelsFor(length);
  place.begin = &first_[FirstIndex(key)];
  for (unsigned level = 0; level < place.levels; ++level) {
    Word& link = *place.begin;
    if (!IsChunk(Load(link))) {
      PENSTOCK_CHECK(create);
      const uint32_t added = Publish(link);
      if (level > 0) {
        ++used_[place.chunks[level - 1]];
      }
      place.chunks[level] = added;
    } else {
      place.chunks[level] = ChunkOf(Load(link));
    }
    place.links[level] = &link;
    place.begin = ChunkAt(place.chunks[level]) + IndexAt(key, level);
  }
  place.count = 1u << (kFirstBits + 8 * place.levels - length);
  return place;
}

// Calls change(word) on each word of the range and of all chunks below it.
template <typename Key>
template <typename Change>
void LpmTable<Key>::ForEachWord(Word* begin, uint32_t count, const Change& change) {
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t word = Load(begin[i]);
    if (IsChunk(word)) {
      ForEachWord(ChunkAt(ChunkOf(word)), kChunkSize, change);
    } else {
      change(begin[i], word);
    }
  }
}

template <typename Key>
void LpmTable<Key>::Set(Key key, unsigned length, uint32_t next_hop, bool is_new) {
  const uint32_t value = MakeWord(length, next_hop);
  if (length == 0) {
    Store(default_, value);
    return;
  }
  const Place place = Locate(key, length, true);
  if (is_new && place.levels > 0) {
    ++used_[place.chunks[place.levels - 1]];
  }
  ForEachWord(place.begin, place.count, [&](Word& word, uint32_t now) {
    if (LengthOf(now) <= length) {
      Store(word, value);
    }
  });
}

template <typename Key>
void LpmTable<Key>::Remove(Key key, unsigned length, unsigned cover_length,
                           uint32_t cover_next_hop) {
  if (length == 0) {
    Store(default_, 0);
    return;
  }
  const uint32_t value = cover_length == 0 ? 0 : MakeWord(cover_length, cover_next_hop);
  const Place place = Locate(key, length, false);
  // Within the range of a prefix no other prefix has its length.
  ForEachWord(place.begin, place.count, [&](Word& word, uint32_t now) {
    if (LengthOf(now) == length) {
      Store(word, value);
    }
  });
  if (place.levels > 0) {
    --used_[place.chunks[place.levels - 1]];
    Shrink(place);
  }
}

// Gives back the chunks of a path in which no prefix ends any more; all their words are then equal.
template <typename Key>
void LpmTable<Key>::Shrink(const Place& place) {
  for (unsigned level = place.levels; level-- > 0;) {
    const uint32_t chunk = place.chunks[level];
    if (used_[chunk] != 0) {
      return;
    }
    Store(*place.links[level], Load(*ChunkAt(chunk)));
    retired_.Retire(chunk);
    --in_use_;
    if (level > 0) {
      --used_[place.chunks[level - 1]];
    }
  }
}

}  // namespace penstock
