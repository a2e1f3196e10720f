#include "dataplane/base/secret.h"

#include <string.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "dataplane/base/result.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace penstock {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kGrain = 64;
constexpr size_t kSlabSize = 64 * 1024;  // and its alignment: an object finds its slab by masking
constexpr std::array<uint16_t, 14> kClassSizes = {64,   128,  192,  256,  384,  512,  768,
                                                  1024, 1280, 1536, 2048, 2560, 3072, 4096};

size_t RoundUp(size_t size, size_t to) { return (size + to - 1) / to * to; }

// Anonymous memory that is kept from swap and dumps as far as the system lets us: a low
// RLIMIT_MEMLOCK must not stop a gateway, so failure to lock is accepted.
uint8_t* MapPages(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PENSTOCK_CHECK(memory != MAP_FAILED);
  return static_cast<uint8_t*>(memory);
}

void Protect(void* memory, size_t size) {
  (void)madvise(memory, size, MADV_DONTDUMP);
  (void)mlock(memory, size);
}

uint8_t* MapAlignedSlab() {
  uint8_t* memory = MapPages(2 * kSlabSize);
  const size_t front =
      RoundUp(std::bit_cast<uintptr_t>(memory), kSlabSize) - std::bit_cast<uintptr_t>(memory);
  if (front > 0) {
    munmap(memory, front);
  }
  if (front < kSlabSize) {
    munmap(memory + front + kSlabSize, kSlabSize - front);
  }
  Protect(memory + front, kSlabSize);
  return memory + front;
}

// The head of a slab; objects of one size follow. A list of those that have room hangs on each
// class.
struct alignas(kGrain) Slab {
  Slab* previous = nullptr;
  Slab* next = nullptr;
  uint32_t object_size = 0;
  uint32_t capacity = 0;
  uint32_t used = 0;
  std::array<uint64_t, kSlabSize / kGrain / 64> taken{};  // a bit an object

  uint8_t* objects() { return reinterpret_cast<uint8_t*>(this + 1); }

  void* Take() {
    for (size_t word = 0; word < taken.size(); ++word) {
      const size_t index = 64 * word + static_cast<size_t>(std::countr_one(taken[word]));
      if (taken[word] != UINT64_MAX && index < capacity) {
        taken[word] |= uint64_t{1} << (index % 64);
        ++used;
        return objects() + index * object_size;
      }
    }
    return nullptr;
  }

  void Give(void* object) {
    const size_t index =
        static_cast<size_t>(static_cast<uint8_t*>(object) - objects()) / object_size;
    const uint64_t bit = uint64_t{1} << (index % 64);
    PENSTOCK_CHECK(index < capacity && (taken[index / 64] & bit) != 0);
    taken[index / 64] &= ~bit;
    --used;
  }
};

// Small secrets share locked pages: ten thousand key schedules take as many kilobytes as they have.
class Arena {
 public:
  void* Allocate(size_t class_index, size_t size) {
    const std::lock_guard lock(mutex_);
    Slab*& open = open_[class_index];
    if (open == nullptr) {
      open = MakeSlab(kClassSizes[class_index]);
    }
    Slab* slab = open;
    void* object = slab->Take();
    PENSTOCK_CHECK(object != nullptr);
    if (slab->used == slab->capacity) {
      Unlink(open, slab);
    }
    ASAN_UNPOISON_MEMORY_REGION(object, size);
    return object;
  }

  void Free(void* object, size_t class_index) {
    const std::lock_guard lock(mutex_);
    Slab*& open = open_[class_index];
    auto* slab = std::bit_cast<Slab*>(std::bit_cast<uintptr_t>(object) & ~(kSlabSize - 1));
    PENSTOCK_CHECK(slab->object_size == kClassSizes[class_index]);
    if (slab->used == slab->capacity) {
      Link(open, slab);
    }
    slab->Give(object);
    ASAN_POISON_MEMORY_REGION(object, slab->object_size);
    // One empty slab is kept, so that an SA that comes and goes costs no system call.
    if (slab->used == 0 && (slab->previous != nullptr || slab->next != nullptr)) {
      Unlink(open, slab);
      ASAN_UNPOISON_MEMORY_REGION(slab, kSlabSize);
      munmap(slab, kSlabSize);
    }
  }

 private:
  static Slab* MakeSlab(uint32_t object_size) {
    auto* slab = new (MapAlignedSlab()) Slab;
    slab->object_size = object_size;
    slab->capacity = static_cast<uint32_t>((kSlabSize - sizeof(Slab)) / object_size);
    ASAN_POISON_MEMORY_REGION(slab->objects(), kSlabSize - sizeof(Slab));
    return slab;
  }

  static void Link(Slab*& head, Slab* slab) {
    slab->previous = nullptr;
    slab->next = head;
    if (head != nullptr) {
      head->previous = slab;
    }
    head = slab;
  }

  static void Unlink(Slab*& head, Slab* slab) {
    (slab->previous != nullptr ? slab->previous->next : head) = slab->next;
    if (slab->next != nullptr) {
      slab->next->previous = slab->previous;
    }
    slab->previous = slab->next = nullptr;
  }

  std::mutex mutex_;
  std::array<Slab*, kClassSizes.size()> open_{};  // slabs with room, by class
};

// Never destroyed: secrets in static objects may outlive it otherwise.
Arena& TheArena() {
  static auto* arena = new Arena;
  return *arena;
}

// kClassSizes.size() for what is too large for a slab.
size_t ClassOf(size_t size) {
  size_t index = 0;
  while (index < kClassSizes.size() && kClassSizes[index] < size) {
    ++index;
  }
  return index;
}

}  // namespace

void WipeMemory(void* data, size_t size) {
  if (size > 0) {
    explicit_bzero(data, size);
  }
}

void* AllocateSecretMemory(size_t size) {
  const size_t class_index = ClassOf(size);
  if (class_index < kClassSizes.size()) {
    return TheArena().Allocate(class_index, size);
  }
  const size_t mapped = RoundUp(size, kPage);
  void* memory = MapPages(mapped);
  Protect(memory, mapped);
  return memory;
}

void FreeSecretMemory(void* data, size_t size) {
  if (data == nullptr) {
    return;
  }
  WipeMemory(data, size);  // also what makes the next owner's memory zero
  const size_t class_index = ClassOf(size);
  if (class_index < kClassSizes.size()) {
    TheArena().Free(data, class_index);
  } else {
    munmap(data, RoundUp(size, kPage));
  }
}

Secret::Secret(std::span<const uint8_t> bytes) : size_(bytes.size()) {
  if (size_ > 0) {
    data_ = static_cast<uint8_t*>(AllocateSecretMemory(size_));
    std::memcpy(data_, bytes.data(), size_);
  }
}

Secret::Secret(std::string_view bytes)
    : Secret(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) {}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    FreeSecretMemory(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() { FreeSecretMemory(data_, size_); }

std::string Secret::ToString() const { return "<" + std::to_string(size_) + " bytes>"; }

}  // namespace penstock
