#include "dataplane/base/secret.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

namespace penstock {
namespace {

bool IsZero(const uint8_t* bytes, size_t size) {
  return std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == 0; });
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// The "VmFlags" line of the mapping that holds `address`.
std::string MappingFlags(const void* address) {
  std::ifstream file("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    uintptr_t first = 0, last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      const auto value = std::bit_cast<uintptr_t>(address);
      inside = first <= value && value < last;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line + ' ';
    }
  }
  return {};
}

TEST(SecretMemoryTest, IsZeroedAndAlignedInEverySize) {
  for (size_t size = 1; size <= 20'000; size += size < 200 ? 1 : 97) {
    auto* memory = static_cast<uint8_t*>(AllocateSecretMemory(size));
    ASSERT_EQ(std::bit_cast<uintptr_t>(memory) % 64, 0u) << size;
    ASSERT_TRUE(IsZero(memory, size)) << size;
    std::fill_n(memory, size, uint8_t{0xa5});
    FreeSecretMemory(memory, size);
  }
}

TEST(SecretMemoryTest, KeepsAllocationsApartUnderRandomUse) {
  struct Piece {
    uint8_t* data;
    size_t size;
    uint8_t fill;
  };
  std::mt19937 random(1);
  std::vector<Piece> pieces;
  for (int step = 0; step < 20'000; ++step) {
    if (pieces.empty() || random() % 5 < 3) {
      const size_t size = 1 + random() % 5000;
      auto* data = static_cast<uint8_t*>(AllocateSecretMemory(size));
      ASSERT_TRUE(IsZero(data, size));
      const auto fill = static_cast<uint8_t>(1 + random() % 255);
      std::fill_n(data, size, fill);
      pieces.push_back({data, size, fill});
    } else {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      const Piece piece = pieces.back();
      pieces.pop_back();
      ASSERT_TRUE(std::all_of(piece.data, piece.data + piece.size,
                              [&piece](uint8_t byte) { return byte == piece.fill; }));
      FreeSecretMemory(piece.data, piece.size);
    }
  }
  for (const Piece& piece : pieces) {
    FreeSecretMemory(piece.data, piece.size);
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // which poisons what is free
TEST(SecretMemoryTest, IsWipedWhenFreed) {
  auto* keeper = static_cast<uint8_t*>(AllocateSecretMemory(1500));  // so that the slab stays
  auto* memory = static_cast<uint8_t*>(AllocateSecretMemory(1500));
  std::fill_n(memory, 1500, uint8_t{0xa5});
  FreeSecretMemory(memory, 1500);
  EXPECT_TRUE(IsZero(memory, 1500));
  FreeSecretMemory(keeper, 1500);
}
#endif

TEST(SecretMemoryTest, StaysOutOfCoreDumps) {
  for (const size_t size : {100, 1500, 100'000}) {
    void* memory = AllocateSecretMemory(size);
    EXPECT_NE(MappingFlags(memory).find(" dd "), std::string::npos) << size;
    FreeSecretMemory(memory, size);
  }
}

TEST(SecretMemoryTest, CostsLittleForTenThousandKeys) {
  constexpr size_t kCount = 20'000, kSize = 1400;
  std::vector<void*> memory;
  memory.reserve(kCount);
  const size_t before = ResidentBytes();
  for (size_t i = 0; i < kCount; ++i) {
    memory.push_back(AllocateSecretMemory(kSize));
    *static_cast<uint8_t*>(memory.back()) = 1;
  }
  const size_t grown = ResidentBytes() - before;
  EXPECT_LT(grown, kCount * kSize * 5 / 4);
  for (void* piece : memory) {
    FreeSecretMemory(piece, kSize);
  }
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(ResidentBytes(), before + kCount * kSize / 10);  // and is given back
#endif
}

// Exits with 0 if secrets work in a process that may lock nothing.
[[noreturn]] void UseSecretsWithoutLocking() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_MEMLOCK, &none);
  // Root may lock all the same; anybody else may not now.
  if (geteuid() == 0 && setuid(65534) != 0) {
    _exit(1);
  }
  auto* memory = static_cast<uint8_t*>(AllocateSecretMemory(300'000));
  memory[299'999] = 1;
  FreeSecretMemory(memory, 300'000);
  const Secret secret(std::string_view("key"));
  _exit(secret.size() == 3 ? 0 : 1);
}

TEST(SecretMemoryTest, WorksWhereMemoryCannotBeLocked) {
  EXPECT_EXIT(UseSecretsWithoutLocking(), ::testing::ExitedWithCode(0), "");
}

TEST(SecretMemoryTest, DiesOnADoubleFree) {
  EXPECT_DEATH(
      {
        void* keeper = AllocateSecretMemory(64);
        void* memory = AllocateSecretMemory(64);
        FreeSecretMemory(memory, 64);
        FreeSecretMemory(memory, 64);
        FreeSecretMemory(keeper, 64);
      },
      "");
}

TEST(SecretTest, HoldsACopy) {
  std::vector<uint8_t> bytes = {1, 2, 3};
  const Secret secret{std::span<const uint8_t>(bytes)};
  bytes[0] = 9;
  ASSERT_EQ(secret.size(), 3u);
  EXPECT_EQ(secret.bytes()[0], 1);
}

TEST(SecretTest, LeavesTheSourceEmptyWhenMoved) {
  Secret first(std::string_view("abc"));
  Secret second(std::move(first));
  EXPECT_TRUE(first.empty());  // NOLINT: what a moved-from secret is, is promised
  EXPECT_EQ(second.size(), 3u);
  Secret third(std::string_view("other"));
  third = std::move(second);
  EXPECT_TRUE(second.empty());  // NOLINT
  EXPECT_EQ(third.bytes()[2], 'c');
  Secret& same = third;
  third = std::move(same);
  EXPECT_EQ(third.size(), 3u);
}

TEST(SecretTest, ClonesOnDemandOnly) {
  const Secret secret(std::string_view("abc"));
  const Secret clone = secret.Clone();
  EXPECT_NE(clone.bytes().data(), secret.bytes().data());
  EXPECT_TRUE(std::equal(clone.bytes().begin(), clone.bytes().end(), secret.bytes().begin()));
  static_assert(!std::is_copy_constructible_v<Secret>);
}

TEST(SecretTest, PrintsItsLengthOnly) {
  EXPECT_EQ(Secret(std::string_view("0123456789abcdefghij")).ToString(), "<20 bytes>");
  EXPECT_EQ(Secret().ToString(), "<0 bytes>");
}

}  // namespace
}  // namespace penstock
