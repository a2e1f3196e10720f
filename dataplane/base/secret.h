// Key bytes: not copyable, locked in memory, wiped when they go, printed as "<20 bytes>".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace penstock {

// Overwrites memory in a way the compiler does not remove.
void WipeMemory(void* data, size_t size);

// Allocates zeroed memory aligned to 64 bytes, kept out of swap and core dumps where the system
// allows it. FreeSecretMemory wipes it first. For key schedules of the crypto engines too.
void* AllocateSecretMemory(size_t size);
void FreeSecretMemory(void* data, size_t size);

// Owns key bytes. Moving leaves the source empty.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const uint8_t> bytes);
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  Secret Clone() const { return Secret(bytes()); }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string ToString() const;  // "<20 bytes>", never the bytes

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace penstock
