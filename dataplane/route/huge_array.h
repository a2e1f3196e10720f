// A zero-filled array of fixed size on huge pages where the kernel has them; pages exist once
// touched.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/result.h"

namespace penstock {

// Like LazyArray, but aligned to 2 MiB and offered to transparent huge pages: one lookup in a table
// of 64 MiB costs one cache miss and no page walk. `T` must be valid when all its bytes are zero.
template <typename T>
class HugeArray {
 public:
  explicit HugeArray(size_t size) : bytes_(RoundUp(size * sizeof(T))), size_(size) {
    mapped_bytes_ = bytes_ + kHugePage;
    mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    PENSTOCK_CHECK(mapped_ != MAP_FAILED);
    data_ = reinterpret_cast<T*>(RoundUp(reinterpret_cast<uintptr_t>(mapped_)));
    // Without huge pages everything works, only slower.
    (void)madvise(data_, bytes_, MADV_HUGEPAGE);
  }
  ~HugeArray() { munmap(mapped_, mapped_bytes_); }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;

  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }

  // Bytes of pages that are present. Pages that were only read count too, though they share one
  // page of zeroes.
  size_t resident_bytes() const {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> present(bytes_ / page);
    if (mincore(data_, bytes_, present.data()) != 0) {
      return 0;
    }
    size_t pages = 0;
    for (unsigned char byte : present) {
      pages += byte & 1u;
    }
    return pages * page;
  }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;
  static constexpr size_t RoundUp(size_t value) {
    return (value + kHugePage - 1) / kHugePage * kHugePage;
  }

  void* mapped_;
  size_t mapped_bytes_;
  T* data_;
  size_t bytes_;
  size_t size_;
};

}  // namespace penstock
