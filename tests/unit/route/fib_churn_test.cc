// The FIB under load: readers during changes, and a full Internet table.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "dataplane/route/fib.h"

#if defined(__SANITIZE_ADDRESS__)
#define PENSTOCK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PENSTOCK_SANITIZED 1
#endif
#endif

namespace penstock {
namespace {

#ifdef PENSTOCK_SANITIZED
constexpr uint32_t kManyRoutes = 100'000;
constexpr int kChurnRounds = 20;
#else
constexpr uint32_t kManyRoutes = 1'000'000;
constexpr int kChurnRounds = 200;
#endif

Prefix P(const char* text) { return *Prefix::Parse(text); }

// Prefixes that stay, around and inside of those that come and go, each with its own answer.
TEST(FibChurnTest, PrefixesThatDoNotChangeNeverBlink) {
  Epoch epoch;
  Fib fib(epoch, {.max_routes_v4 = 100'000, .max_routes_v6 = 100'000, .max_chunks = 4096});
  struct Fixed {
    const char* prefix;
    const char* destination;
    uint32_t next_hop;
  };
  static constexpr Fixed kFixed[] = {
      {"0.0.0.0/0", "192.0.2.1", 10},
      {"10.1.0.0/16", "10.1.255.255", 11},
      {"10.1.2.0/24", "10.1.2.4", 12},
      {"10.1.2.3/32", "10.1.2.3", 13},
      {"10.1.7.128/25", "10.1.7.200", 14},
      {"::/0", "3fff::1", 20},
      {"2001:db8::/32", "2001:db8:ff::", 21},
      {"2001:db8:1::/48", "2001:db8:1:ff::", 22},
      {"2001:db8:1::5/128", "2001:db8:1::5", 23},
  };
  for (const Fixed& fixed : kFixed) {
    ASSERT_TRUE(fib.Set(P(fixed.prefix), fixed.next_hop));
  }

  std::atomic<bool> stop{false};
  std::atomic<uint64_t> lookups{0};
  std::atomic<uint64_t> wrong{0};
  std::atomic<bool> registered{false};
  std::thread reader([&] {
    epoch.Register(0);
    epoch.Online(0);
    registered = true;
    while (!stop.load(std::memory_order_relaxed)) {
      for (const Fixed& fixed : kFixed) {
        wrong += fib.Lookup(*IpAddress::Parse(fixed.destination)) != fixed.next_hop ? 1 : 0;
      }
      lookups += std::size(kFixed);
      epoch.Quiet(0);
    }
    epoch.Unregister(0);
  });
  while (!registered) {
    std::this_thread::yield();
  }

  // Each shares chunks with prefixes that stay, covers them or lies within them. Where it is the
  // longer one around a destination, it gives the same answer.
  const std::pair<Prefix, uint32_t> moving[] = {
      {P("10.0.0.0/8"), 77},        {P("10.1.0.0/17"), 77},        {P("10.1.2.0/25"), 12},
      {P("10.1.2.2/32"), 77},       {P("10.1.7.0/24"), 77},        {P("10.1.7.0/26"), 77},
      {P("10.1.7.192/32"), 77},     {P("2001::/16"), 77},          {P("2001:db8::/33"), 21},
      {P("2001:db8:1::/49"), 22},   {P("2001:db8:1::/64"), 77},    {P("2001:db8:1::4/126"), 77},
      {P("2001:db8:1::4/128"), 77}, {P("2001:db8:1:1::/127"), 77}, {P("2001:db8:0:ff::/64"), 77},
  };
  std::mt19937 random(7);
  for (int round = 0; round < kChurnRounds; ++round) {
    for (const auto& [prefix, next_hop] : moving) {
      if (!fib.Find(prefix)) {
        ASSERT_TRUE(fib.Set(prefix, next_hop));
      } else if (random() % 2 == 0) {
        ASSERT_TRUE(fib.Remove(prefix));
      }
    }
    for (const Fixed& fixed : kFixed) {
      ASSERT_TRUE(fib.Set(P(fixed.prefix), fixed.next_hop));  // a replace by the same is no change
    }
    epoch.Reclaim();
  }
  while (lookups == 0) {
    std::this_thread::yield();
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0u) << "of " << lookups;
}

TEST(FibChurnTest, ChunksComeBackOnlyAfterTheReadersGracePeriod) {
  Epoch epoch;
  epoch.Register(0);
  epoch.Online(0);
  Fib fib(epoch, {.max_routes_v4 = 100, .max_routes_v6 = 1, .max_chunks = 1});
  ASSERT_TRUE(fib.Set(P("10.0.0.1/32"), 1));
  ASSERT_TRUE(fib.Remove(P("10.0.0.1/32")));
  EXPECT_EQ(fib.Set(P("10.0.1.1/32"), 2).error().code, Errc::kExhausted);
  epoch.Quiet(0);
  EXPECT_TRUE(fib.Set(P("10.0.1.1/32"), 2));
  epoch.Unregister(0);
}

TEST(FibChurnTest, AMillionWithdrawalsCostFewDeferrals) {
  Epoch epoch;
  epoch.Register(0);
  epoch.Online(0);
  Fib fib(epoch);
  for (uint32_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(fib.Set(Prefix(IpAddress::V4(0x0a000001 + (i << 8)), 32), 1));
  }
  for (uint32_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(fib.Remove(Prefix(IpAddress::V4(0x0a000001 + (i << 8)), 32)));
  }
  EXPECT_LE(epoch.deferred(), 1u);
  epoch.Unregister(0);
}

TEST(FibChurnTest, MayBeDestroyedWhileChunksWaitForTheirGracePeriod) {
  Epoch epoch;
  epoch.Register(0);
  epoch.Online(0);
  {
    Fib fib(epoch);
    ASSERT_TRUE(fib.Set(P("10.0.0.1/32"), 1));
    ASSERT_TRUE(fib.Remove(P("10.0.0.1/32")));
  }
  epoch.Unregister(0);
  epoch.Synchronize();
  EXPECT_EQ(epoch.deferred(), 0u);
}

TEST(FibChurnTest, HoldsAMillionRoutesWithin256Mebibytes) {
  Epoch epoch;
  Fib fib(epoch);
  // An odd multiplier visits every 24-bit value once: all routes are different.
  const auto key = [](uint32_t i) { return (i * 0x9e3779b1u) & 0xffffffu; };
  const auto prefix = [&](uint32_t i) {
    return i % 100 == 0 ? Prefix(IpAddress::V4((0xc60000u + i / 100) << 8 | 1), 32)
                        : Prefix(IpAddress::V4(key(i) << 8), 24);
  };
  for (uint32_t i = 0; i < kManyRoutes; ++i) {
    ASSERT_TRUE(fib.Set(prefix(i), i % 1000 + 1));
  }
  EXPECT_EQ(fib.size(Family::kIpv4), kManyRoutes);
  EXPECT_LE(fib.memory_bytes(), size_t{256} << 20);
  for (uint32_t i = 0; i < kManyRoutes; ++i) {
    const uint32_t network = prefix(i).address().ToV4HostOrder();
    const IpAddress destination = IpAddress::V4(prefix(i).length() == 24 ? network | 200 : network);
    ASSERT_EQ(fib.Lookup(destination), i % 1000 + 1) << prefix(i).ToString();
  }
  for (uint32_t i = 0; i < kManyRoutes; ++i) {
    ASSERT_TRUE(fib.Remove(prefix(i)));
  }
  EXPECT_EQ(fib.size(Family::kIpv4), 0u);
  EXPECT_EQ(fib.Lookup(prefix(1).address()), 0u);
}

}  // namespace
}  // namespace penstock
