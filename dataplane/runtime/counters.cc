#include "dataplane/runtime/counters.h"

#include <atomic>

namespace penstock {
namespace {

// A LastDrop is copied as eight words, so that neither side ever tears a field; the first holds the
// version and the SPI.
using Word [[gnu::may_alias]] = uint64_t;
constexpr unsigned kWords = sizeof(LastDrop) / sizeof(Word);
static_assert(sizeof(LastDrop) == kCacheLine && offsetof(LastDrop, version) == 0);

}  // namespace

WorkerCounters::WorkerCounters() = default;

void WriteLastDrop(LastDrop& slot, LastDrop& value) {
  Word* words = reinterpret_cast<Word*>(&slot);
  const Word* source = reinterpret_cast<const Word*>(&value);
  const uint32_t version = slot.version;
  value.version = version + 1;
  __atomic_store_n(&words[0], source[0], __ATOMIC_RELAXED);
  std::atomic_thread_fence(std::memory_order_release);
  for (unsigned i = 1; i < kWords; ++i) {
    __atomic_store_n(&words[i], source[i], __ATOMIC_RELAXED);
  }
  value.version = version + 2;
  __atomic_store_n(&words[0], source[0], __ATOMIC_RELEASE);
}

std::optional<LastDrop> ReadLastDrop(const LastDrop& slot) {
  const Word* words = reinterpret_cast<const Word*>(&slot);
  // The writer needs a few nanoseconds a packet; a reader that loses this often is told "none" and
  // asks again later rather than spinning against a flood.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    LastDrop copy;
    Word* target = reinterpret_cast<Word*>(&copy);
    target[0] = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE);
    for (unsigned i = 1; i < kWords; ++i) {
      target[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (copy.version == 0) {
      return std::nullopt;
    }
    if (copy.version % 2 == 0 && __atomic_load_n(&words[0], __ATOMIC_RELAXED) == target[0]) {
      return copy;
    }
  }
  return std::nullopt;
}

int64_t PacketBalance(const WorkerCounters& counters) {
  uint64_t in = counters.received.Read() + counters.from_host.Read() + counters.generated.Read() +
                counters.fragments.Read();
  uint64_t out = counters.sent.Read() + counters.to_host.Read() + counters.merged.Read() +
                 counters.held.Read();
  for (const Counter& drops : counters.drops) {
    out += drops.Read();
  }
  return static_cast<int64_t>(in - out);
}

}  // namespace penstock
