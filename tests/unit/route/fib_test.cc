#include "dataplane/route/fib.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace penstock {
namespace {

Prefix P(const char* text) { return *Prefix::Parse(text); }
IpAddress A(const char* text) { return *IpAddress::Parse(text); }

// The oracle: looks at every prefix.
class NaiveTable {
 public:
  void Set(const Prefix& prefix, uint32_t next_hop) { routes_[prefix] = next_hop; }
  bool Remove(const Prefix& prefix) { return routes_.erase(prefix) > 0; }
  std::optional<Fib::Match> LongestMatch(const IpAddress& address) const {
    std::optional<Fib::Match> best;
    for (const auto& [prefix, next_hop] : routes_) {
      if (prefix.family() == address.family() && prefix.Contains(address) &&
          (!best || prefix.length() >= best->prefix.length())) {
        best = Fib::Match{prefix, next_hop};
      }
    }
    return best;
  }
  const std::map<Prefix, uint32_t>& routes() const { return routes_; }

 private:
  std::map<Prefix, uint32_t> routes_;
};

class FibTest : public ::testing::Test {
 protected:
  Epoch epoch_;
  Fib fib_{epoch_, {.max_routes_v4 = 10'000, .max_routes_v6 = 10'000, .max_chunks = 1u << 14}};
};

TEST_F(FibTest, AnEmptyTableAnswersNoRoute) {
  EXPECT_EQ(fib_.Lookup(A("10.0.0.1")), 0u);
  EXPECT_EQ(fib_.Lookup(A("2001:db8::1")), 0u);
  EXPECT_FALSE(fib_.LongestMatch(A("10.0.0.1")).has_value());
}

TEST_F(FibTest, TheLongestPrefixWinsInWhateverOrderTheyCame) {
  ASSERT_TRUE(fib_.Set(P("10.1.2.128/25"), 25));
  ASSERT_TRUE(fib_.Set(P("0.0.0.0/0"), 1));
  ASSERT_TRUE(fib_.Set(P("10.1.2.129/32"), 32));
  ASSERT_TRUE(fib_.Set(P("10.0.0.0/8"), 8));
  ASSERT_TRUE(fib_.Set(P("10.1.2.0/24"), 24));
  EXPECT_EQ(fib_.Lookup(A("10.1.2.129")), 32u);
  EXPECT_EQ(fib_.Lookup(A("10.1.2.128")), 25u);
  EXPECT_EQ(fib_.Lookup(A("10.1.2.127")), 24u);
  EXPECT_EQ(fib_.Lookup(A("10.1.3.0")), 8u);
  EXPECT_EQ(fib_.Lookup(A("11.0.0.0")), 1u);
}

TEST_F(FibTest, ARouteToNoRouteHidesTheDefault) {
  ASSERT_TRUE(fib_.Set(P("::/0"), 9));
  ASSERT_TRUE(fib_.Set(P("2001:db8::/32"), 0));
  EXPECT_EQ(fib_.Lookup(A("2001:db8::1")), 0u);
  EXPECT_EQ(fib_.Lookup(A("2001:db9::1")), 9u);
}

TEST_F(FibTest, ADefaultRouteTouchesNoTable) {
  const size_t before = fib_.memory_bytes();
  ASSERT_TRUE(fib_.Set(P("0.0.0.0/0"), 7));
  EXPECT_EQ(fib_.Lookup(A("203.0.113.9")), 7u);
  EXPECT_LE(fib_.memory_bytes(), before + (8u << 20));
  ASSERT_TRUE(fib_.Remove(P("0.0.0.0/0")));
  EXPECT_EQ(fib_.Lookup(A("203.0.113.9")), 0u);
}

TEST_F(FibTest, RemovingAnUnknownPrefixNamesIt) {
  ASSERT_TRUE(fib_.Set(P("10.0.0.0/8"), 8));
  const Status status = fib_.Remove(P("10.0.0.0/9"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kNotFound);
  EXPECT_NE(status.error().message.find("10.0.0.0/9"), std::string::npos);
  EXPECT_EQ(fib_.size(Family::kIpv4), 1u);
}

TEST_F(FibTest, RefusesANextHopBeyondTheTable) {
  EXPECT_EQ(fib_.Set(P("10.0.0.0/8"), 1u << 20).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(fib_.size(Family::kIpv4), 0u);
}

TEST(FibLimitsTest, RefusesTheRouteBeyondTheLimitAndKeepsTheRest) {
  Epoch epoch;
  Fib fib(epoch, {.max_routes_v4 = 2, .max_routes_v6 = 2, .max_chunks = 16});
  ASSERT_TRUE(fib.Set(P("10.0.0.0/8"), 1));
  ASSERT_TRUE(fib.Set(P("11.0.0.0/8"), 2));
  EXPECT_EQ(fib.Set(P("12.0.0.0/8"), 3).error().code, Errc::kExhausted);
  EXPECT_TRUE(fib.Set(P("11.0.0.0/8"), 4)) << "a replace needs no room";
  EXPECT_EQ(fib.Lookup(A("12.0.0.1")), 0u);
  EXPECT_EQ(fib.Lookup(A("11.0.0.1")), 4u);
}

TEST(FibLimitsTest, RefusesARouteWithoutChunksForItAndTakesItOnceSomeAreFree) {
  Epoch epoch;
  Fib fib(epoch, {.max_routes_v4 = 100, .max_routes_v6 = 100, .max_chunks = 14});
  ASSERT_TRUE(fib.Set(P("2001:db8::1/128"), 1));  // 13 levels
  EXPECT_EQ(fib.Set(P("2001:db9::1/128"), 2).error().code, Errc::kExhausted);
  EXPECT_EQ(fib.size(Family::kIpv6), 1u);
  EXPECT_EQ(fib.Lookup(A("2001:db9::1")), 0u);
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(fib.Remove(P("2001:db8::1/128")));
    ASSERT_TRUE(fib.Set(P("2001:db8::1/128"), 3)) << "freed chunks must come back, round " << round;
  }
  EXPECT_EQ(fib.Lookup(A("2001:db8::1")), 3u);
}

// Random prefixes that nest and collide: few distinct bits, lengths around all boundaries.
class FibModelTest : public FibTest, public ::testing::WithParamInterface<Family> {
 protected:
  uint32_t Random() { return static_cast<uint32_t>(random_()); }
  IpAddress RandomAddress() {
    uint8_t bytes[16];
    for (uint8_t& byte : bytes) {
      static constexpr uint8_t kBytes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
      byte = kBytes[Random() % std::size(kBytes)];
    }
    // Only the first bytes choose the neighbourhood, else nothing would ever nest.
    bytes[0] = 0x20;
    bytes[1] = static_cast<uint8_t>(Random() % 2 * 0xff);
    return GetParam() == Family::kIpv4 ? IpAddress::V4(bytes) : IpAddress::V6(bytes);
  }
  Prefix RandomPrefix() {
    const IpAddress address = RandomAddress();
    const unsigned longest = address.max_prefix_length();
    // Short ones span thousands of words each; they come, but seldom.
    const unsigned shortest = Random() % 50 == 0 ? 0 : 12;
    return Prefix(address, static_cast<uint8_t>(shortest + Random() % (longest - shortest + 1)));
  }
  void ExpectSameAnswer(const IpAddress& address) {
    const auto expected = model_.LongestMatch(address);
    ASSERT_EQ(fib_.Lookup(address), expected ? expected->next_hop : 0) << address.ToString();
    const auto match = fib_.LongestMatch(address);
    ASSERT_EQ(match.has_value(), expected.has_value()) << address.ToString();
    if (match) {
      ASSERT_EQ(match->prefix, expected->prefix);
      ASSERT_EQ(match->next_hop, expected->next_hop);
    }
  }
  // Just inside and just outside of a prefix.
  std::vector<IpAddress> Edges(const Prefix& prefix) {
    std::vector<IpAddress> edges{prefix.address()};
    uint8_t last[16];
    const size_t size = prefix.address().size();
    std::copy_n(prefix.address().data(), size, last);
    for (size_t bit = prefix.length(); bit < size * 8; ++bit) {
      last[bit / 8] = static_cast<uint8_t>(last[bit / 8] | 0x80u >> (bit % 8));
    }
    const auto make = [this](const uint8_t* bytes) {
      return GetParam() == Family::kIpv4 ? IpAddress::V4(bytes) : IpAddress::V6(bytes);
    };
    edges.push_back(make(last));
    for (size_t i = size; i-- > 0 && ++last[i] == 0;) {
    }
    edges.push_back(make(last));
    uint8_t before[16];
    std::copy_n(prefix.address().data(), size, before);
    for (size_t i = size; i-- > 0 && before[i]-- == 0;) {
    }
    edges.push_back(make(before));
    return edges;
  }

  std::mt19937 random_{20'24};
  NaiveTable model_;
};

TEST_P(FibModelTest, AgreesWithANaiveTableUnderRandomChanges) {
  for (int step = 0; step < 6'000; ++step) {
    const bool remove_known = Random() % 100 < 45 && !model_.routes().empty();
    Prefix prefix = RandomPrefix();
    if (remove_known) {
      const auto after = model_.routes().lower_bound(prefix);
      prefix = after != model_.routes().end() ? after->first : model_.routes().begin()->first;
      ASSERT_TRUE(fib_.Remove(prefix));
      model_.Remove(prefix);
    } else {
      const uint32_t next_hop = Random() % 1000;
      ASSERT_TRUE(fib_.Set(prefix, next_hop)) << prefix.ToString();
      model_.Set(prefix, next_hop);
      ASSERT_EQ(fib_.Find(prefix), next_hop);
    }
    for (const IpAddress& address : Edges(prefix)) {
      ASSERT_NO_FATAL_FAILURE(ExpectSameAnswer(address)) << "after " << prefix.ToString();
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSameAnswer(RandomAddress()));
    ASSERT_EQ(fib_.size(GetParam()), model_.routes().size());
    if (step % 64 == 0) {
      epoch_.Reclaim();
    }
  }
  for (const auto& [prefix, next_hop] : std::map(model_.routes())) {
    ASSERT_TRUE(fib_.Remove(prefix));
    model_.Remove(prefix);
    for (const IpAddress& address : Edges(prefix)) {
      ASSERT_NO_FATAL_FAILURE(ExpectSameAnswer(address));
    }
  }
  EXPECT_EQ(fib_.size(GetParam()), 0u);
}

TEST_P(FibModelTest, EveryLengthCanBeSetReplacedAndRemoved) {
  const IpAddress address = RandomAddress();
  for (unsigned length = 0; length <= address.max_prefix_length(); ++length) {
    const Prefix prefix(address, static_cast<uint8_t>(length));
    for (uint32_t next_hop : {500u, 100 + length}) {
      ASSERT_TRUE(fib_.Set(prefix, next_hop));
      ASSERT_EQ(fib_.Lookup(address), next_hop) << prefix.ToString();
    }
  }
  for (unsigned length = address.max_prefix_length(); length > 0; --length) {
    ASSERT_TRUE(fib_.Remove(Prefix(address, static_cast<uint8_t>(length))));
    ASSERT_EQ(fib_.Lookup(address), 100 + length - 1);
  }
}

TEST_P(FibModelTest, ABurstIsAnsweredAsSingleLookupsAre) {
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(fib_.Set(RandomPrefix(), Random() % 1000));
  }
  uint32_t v4[kBurst];
  uint8_t v6[kBurst][16];
  uint32_t next_hops[kBurst];
  std::vector<IpAddress> addresses;
  for (unsigned i = 0; i < kBurst; ++i) {
    addresses.push_back(RandomAddress());
    std::memcpy(&v4[i], addresses[i].data(), 4);
    std::memcpy(v6[i], addresses[i].data(), 16);
  }
  if (GetParam() == Family::kIpv4) {
    fib_.LookupV4(v4, next_hops, kBurst);
  } else {
    fib_.LookupV6(v6, next_hops, kBurst);
  }
  for (unsigned i = 0; i < kBurst; ++i) {
    EXPECT_EQ(next_hops[i], fib_.Lookup(addresses[i])) << addresses[i].ToString();
  }
}

TEST_P(FibModelTest, PagesGoOnWhereTheLastOneEnded) {
  for (int i = 0; i < 300; ++i) {
    const Prefix prefix = RandomPrefix();
    const uint32_t next_hop = Random() % 1000;
    ASSERT_TRUE(fib_.Set(prefix, next_hop));
    model_.Set(prefix, next_hop);
  }
  std::vector<std::pair<Prefix, uint32_t>> seen;
  std::optional<Prefix> from;
  for (;;) {
    size_t in_page = 0;
    fib_.Visit(GetParam(), from, [&](const Fib::Match& match) {
      seen.emplace_back(match.prefix, match.next_hop);
      return ++in_page < 7;
    });
    if (in_page == 0) {
      break;
    }
    from = seen.back().first;
  }
  const std::vector<std::pair<Prefix, uint32_t>> expected(model_.routes().begin(),
                                                          model_.routes().end());
  EXPECT_EQ(seen, expected);
}

TEST_P(FibModelTest, APageMayStartAtAPrefixThatIsGone) {
  const char* texts[] = {"10.0.0.0/8", "10.64.0.0/10", "10.64.0.0/16", "11.0.0.0/8"};
  const char* texts6[] = {"2001:a00::/24", "2001:a40::/26", "2001:a40::/32", "2001:b00::/24"};
  const bool v4 = GetParam() == Family::kIpv4;
  for (unsigned i = 0; i < 4; ++i) {
    ASSERT_TRUE(fib_.Set(P(v4 ? texts[i] : texts6[i]), i + 1));
  }
  ASSERT_TRUE(fib_.Remove(P(v4 ? texts[1] : texts6[1])));
  std::vector<uint32_t> seen;
  fib_.Visit(GetParam(), P(v4 ? texts[1] : texts6[1]), [&](const Fib::Match& match) {
    seen.push_back(match.next_hop);
    return true;
  });
  EXPECT_EQ(seen, (std::vector<uint32_t>{3, 4}));
}

INSTANTIATE_TEST_SUITE_P(Families, FibModelTest, ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& instance) {
                           return instance.param == Family::kIpv4 ? "Ipv4" : "Ipv6";
                         });

}  // namespace
}  // namespace penstock
