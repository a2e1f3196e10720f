#include "dataplane/ipsec/sad.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace penstock {
namespace {

constexpr uint32_t kSlots = kMaxSas;

class SadTest : public testing::Test {
 protected:
  static std::unique_ptr<InboundSa> MakeSa(uint32_t spi, uint32_t slot) {
    auto sa = std::make_unique<InboundSa>();
    sa->spi = Be32::FromHost(spi);
    sa->slot = slot;
    return sa;
  }
  uint32_t Insert(uint32_t spi) {
    const Result<uint32_t> slot = sad_.SlotForInbound(spi);
    EXPECT_TRUE(slot.has_value());
    EXPECT_TRUE(sad_.InsertInbound(MakeSa(spi, *slot)).has_value());
    return *slot;
  }
  InboundSa* Find(uint32_t spi) { return sad_.Find(Be32::FromHost(spi)); }

  Epoch epoch_;
  Sad sad_{epoch_};
};

TEST_F(SadTest, EmptyFindsNothing) {
  EXPECT_EQ(Find(0), nullptr);
  EXPECT_EQ(Find(0x12345678), nullptr);
  EXPECT_EQ(sad_.FindForControl(256), nullptr);
}

TEST_F(SadTest, OurSpisAreIndexesAndNeverReserved) {
  std::set<uint32_t> spis;
  for (unsigned i = 0; i < 10'000; ++i) {
    const Result<uint32_t> spi = sad_.ReserveSpi();
    ASSERT_TRUE(spi.has_value());
    ASSERT_GE(*spi, 256u);
    ASSERT_NE(*spi >> 20, 0u);
    ASSERT_TRUE(spis.insert(*spi).second);
    ASSERT_TRUE(sad_.IsReserved(*spi));
    ASSERT_EQ(*sad_.SlotForInbound(*spi), *spi % kSlots);
  }
}

TEST_F(SadTest, HoldsTenThousandOfOurs) {
  std::vector<uint32_t> spis;
  for (unsigned i = 0; i < 10'000; ++i) {
    spis.push_back(*sad_.ReserveSpi());
    Insert(spis.back());
  }
  for (const uint32_t spi : spis) {
    ASSERT_NE(Find(spi), nullptr);
    ASSERT_EQ(Find(spi)->spi.ToHost(), spi);
    ASSERT_EQ(Find(spi), sad_.FindForControl(spi));
    ASSERT_EQ(Find(spi ^ 0x80000000), nullptr);
    ASSERT_FALSE(sad_.IsReserved(spi));
  }
  EXPECT_EQ(sad_.inbound().size(), 10'000u);
  for (const uint32_t spi : spis) {
    ASSERT_TRUE(sad_.RemoveInbound(spi).has_value());
    ASSERT_EQ(Find(spi), nullptr);
  }
  EXPECT_TRUE(sad_.inbound().empty());
}

TEST_F(SadTest, ForeignSpiTakesItsSlotWhileItIsFree) { EXPECT_EQ(Insert(0xabc12345), 0x12345u); }

TEST_F(SadTest, KeepsForeignSpisOfTheSameSlotApart) {
  for (uint32_t high = 1; high <= 4000; ++high) {
    Insert(high << 20 | 0x77);
  }
  for (uint32_t high = 1; high <= 4000; ++high) {
    InboundSa* sa = Find(high << 20 | 0x77);
    ASSERT_NE(sa, nullptr) << high;
    ASSERT_EQ(sa->spi.ToHost(), high << 20 | 0x77);
  }
  EXPECT_EQ(Find(4001u << 20 | 0x77), nullptr);
  std::set<uint32_t> slots;
  for (const InboundSa* sa : sad_.inbound()) {
    EXPECT_TRUE(slots.insert(sa->slot).second);
  }
  for (uint32_t high = 1; high <= 4000; high += 2) {
    ASSERT_TRUE(sad_.RemoveInbound(high << 20 | 0x77).has_value());
  }
  for (uint32_t high = 1; high <= 4000; ++high) {
    ASSERT_EQ(Find(high << 20 | 0x77) != nullptr, high % 2 == 0) << high;
  }
}

TEST_F(SadTest, ForeignSpisComeAndGoForLong) {
  const uint32_t ours = Insert(0x00100005);
  ASSERT_EQ(ours, 5u);
  for (unsigned round = 0; round < 20'000; ++round) {
    const uint32_t spi = (2 + round % 4000) << 20 | 5;
    Insert(spi);
    ASSERT_NE(Find(spi), nullptr);
    ASSERT_TRUE(sad_.RemoveInbound(spi).has_value());
    ASSERT_EQ(Find(spi), nullptr);
  }
}

TEST_F(SadTest, SlotZeroAndLowBitsZeroWork) {
  const uint32_t slot = Insert(0x00300000);
  EXPECT_NE(slot, 0u);
  ASSERT_NE(Find(0x00300000), nullptr);
  EXPECT_EQ(Find(0), nullptr);
}

TEST_F(SadTest, ListsInboundSasBySpi) {
  for (const uint32_t spi : {0x5000u, 0x300u, 0x70000000u}) {
    Insert(spi);
  }
  const std::vector<InboundSa*> all = sad_.inbound();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]->spi.ToHost(), 0x300u);
  EXPECT_EQ(all[2]->spi.ToHost(), 0x70000000u);
}

TEST_F(SadTest, RefusesAnSpiInUse) {
  Insert(0x1000);
  const Result<uint32_t> slot = sad_.SlotForInbound(0x1000);
  ASSERT_FALSE(slot.has_value());
  EXPECT_EQ(slot.error().code, Errc::kAlreadyExists);
  EXPECT_EQ(slot.error().message, "spi 0x00001000 is in use");
  EXPECT_FALSE(sad_.InsertInbound(MakeSa(0x1000, 0x1000)).has_value());
}

TEST_F(SadTest, RefusesASlotThatWasNotGiven) {
  const Status status = sad_.InsertInbound(MakeSa(0x1000, 0x1000));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "slot 4096 was not given to spi 0x00001000");
  const uint32_t outbound = *sad_.SlotForOutbound();
  EXPECT_FALSE(sad_.InsertInbound(MakeSa(0x1000, outbound)).has_value());
}

TEST_F(SadTest, RemovingAnUnknownSpiIsAnError) {
  const Status status = sad_.RemoveInbound(0x1000);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, Errc::kNotFound);
  EXPECT_EQ(status.error().message, "no inbound SA with spi 0x00001000");
}

TEST_F(SadTest, OutboundSlotsComeFromTheTop) {
  EXPECT_EQ(*sad_.SlotForOutbound(), kSlots - 1);
  EXPECT_EQ(*sad_.SlotForOutbound(), kSlots - 2);
  EXPECT_LT(*sad_.ReserveSpi() % kSlots, 16u);
}

TEST_F(SadTest, SlotIsFreeOnlyAfterTheGracePeriod) {
  epoch_.Register(0);
  epoch_.Online(0);
  std::vector<uint32_t> freed;
  sad_.OnSlotFree([&](uint32_t slot) { freed.push_back(slot); });
  const uint32_t spi = *sad_.ReserveSpi();
  Insert(spi);
  InboundSa* held = Find(spi);
  ASSERT_TRUE(sad_.RemoveInbound(spi).has_value());
  EXPECT_EQ(Find(spi), nullptr);
  epoch_.Reclaim();
  EXPECT_TRUE(freed.empty());
  EXPECT_EQ(held->spi.ToHost(), spi);  // a worker may still read it: the sanitizer watches
  EXPECT_NE(*sad_.ReserveSpi() % kSlots, spi % kSlots);
  // The same SPI may come back at once; it gets another slot.
  EXPECT_NE(Insert(spi), spi % kSlots);
  EXPECT_NE(Find(spi), nullptr);
  EXPECT_NE(Find(spi), held);
  epoch_.Quiet(0);
  epoch_.Reclaim();
  EXPECT_EQ(freed, std::vector<uint32_t>{spi % kSlots});
  const uint32_t next = *sad_.ReserveSpi();
  EXPECT_EQ(next % kSlots, spi % kSlots);
  EXPECT_NE(next, spi);
  epoch_.Offline(0);
  epoch_.Unregister(0);
}

TEST_F(SadTest, ReleasingTwiceFreesOnce) {
  unsigned freed = 0;
  sad_.OnSlotFree([&](uint32_t) { ++freed; });
  const uint32_t slot = *sad_.SlotForOutbound();
  sad_.ReleaseSlot(slot);
  sad_.ReleaseSlot(slot);
  epoch_.Synchronize();
  EXPECT_EQ(freed, 1u);
  EXPECT_EQ(*sad_.SlotForOutbound(), slot);
  EXPECT_NE(*sad_.SlotForOutbound(), slot);
}

TEST_F(SadTest, LiveSlotIsNotReleased) {
  const uint32_t slot = Insert(0x2000);
  sad_.ReleaseSlot(slot);
  epoch_.Synchronize();
  EXPECT_NE(Find(0x2000), nullptr);
  EXPECT_NE(Insert(0x00502000), slot);
}

TEST_F(SadTest, ReleasedSpiGivesItsSlotBack) {
  const uint32_t spi = *sad_.ReserveSpi();
  sad_.ReleaseSpi(spi);
  EXPECT_FALSE(sad_.IsReserved(spi));
  EXPECT_EQ(*sad_.ReserveSpi() % kSlots, spi % kSlots);
  sad_.ReleaseSpi(spi);  // another SPI has the slot now
  EXPECT_NE(*sad_.ReserveSpi() % kSlots, spi % kSlots);
}

TEST_F(SadTest, SaysWhenAllSlotsAreTaken) {
  for (uint32_t i = 1; i < kSlots; ++i) {
    ASSERT_TRUE((i % 2 == 0 ? sad_.SlotForOutbound() : sad_.ReserveSpi()).has_value()) << i;
  }
  const Result<uint32_t> spi = sad_.ReserveSpi();
  ASSERT_FALSE(spi.has_value());
  EXPECT_EQ(spi.error().code, Errc::kExhausted);
  EXPECT_EQ(spi.error().message, "no SPI is free, all 1048575 SA slots are taken");
  EXPECT_FALSE(sad_.SlotForOutbound().has_value());
  EXPECT_FALSE(sad_.SlotForInbound(0x12345678).has_value());
  sad_.ReleaseSlot(kSlots - 1);
  epoch_.Synchronize();
  EXPECT_EQ(*sad_.ReserveSpi() % kSlots, kSlots - 1);
}

TEST(Sad, DeferredWorkOutlivesIt) {
  Epoch epoch;
  {
    Sad sad(epoch);
    const uint32_t slot = *sad.SlotForInbound(0x4321);
    auto sa = std::make_unique<InboundSa>();
    sa->spi = Be32::FromHost(0x4321);
    sa->slot = slot;
    ASSERT_TRUE(sad.InsertInbound(std::move(sa)).has_value());
    ASSERT_TRUE(sad.RemoveInbound(0x4321).has_value());
  }
  epoch.Synchronize();
  EXPECT_EQ(epoch.deferred(), 0u);
}

// A worker looks up SAs that come and go; whatever it finds is the right one and alive.
TEST(Sad, ReaderSeesWholeSasWhileTheyComeAndGo) {
  Epoch epoch;
  Sad sad(epoch);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> found{0};
  std::atomic<uint64_t> wrong{0};
  epoch.Register(0);
  std::thread reader([&] {
    epoch.Online(0);
    while (!stop.load(std::memory_order_relaxed)) {
      for (uint32_t high = 1; high <= 200; ++high) {
        const Be32 spi = Be32::FromHost(high << 20 | 9);
        if (const InboundSa* sa = sad.Find(spi)) {
          found.fetch_add(1, std::memory_order_relaxed);
          wrong.fetch_add(sa->spi != spi || sa->tunnel != high, std::memory_order_relaxed);
        }
      }
      epoch.Quiet(0);
    }
    epoch.Offline(0);
  });
  unsigned round = 0;
  for (; round < 20'000 || (found.load() == 0 && round < 10'000'000); ++round) {
    const uint32_t high = 1 + round * 7 % 200;
    const uint32_t spi = high << 20 | 9;
    if (sad.FindForControl(spi) != nullptr) {
      ASSERT_TRUE(sad.RemoveInbound(spi).has_value());
    } else {
      auto sa = std::make_unique<InboundSa>();
      sa->spi = Be32::FromHost(spi);
      sa->slot = *sad.SlotForInbound(spi);
      sa->tunnel = high;
      ASSERT_TRUE(sad.InsertInbound(std::move(sa)).has_value());
    }
    epoch.Reclaim();
  }
  stop.store(true);
  reader.join();
  epoch.Unregister(0);
  EXPECT_GT(found.load(), 0u);
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace penstock
