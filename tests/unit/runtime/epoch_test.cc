#include "dataplane/runtime/epoch.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace penstock {
namespace {

TEST(EpochTest, SynchronizeReturnsAtOnceWithoutWorkers) {
  Epoch epoch;
  bool ran = false;
  epoch.Defer([&] { ran = true; });
  epoch.Synchronize();
  EXPECT_TRUE(ran);
}

TEST(EpochTest, DeferredWorkWaitsUntilEveryOnlineWorkerWasQuiet) {
  Epoch epoch;
  epoch.Register(0);
  epoch.Register(1);
  epoch.Online(0);
  epoch.Online(1);
  bool ran = false;
  epoch.Defer([&] { ran = true; });
  epoch.Reclaim();
  EXPECT_FALSE(ran);
  epoch.Quiet(0);
  epoch.Reclaim();
  EXPECT_FALSE(ran);
  epoch.Quiet(1);
  epoch.Reclaim();
  EXPECT_TRUE(ran);
  epoch.Unregister(0);
  epoch.Unregister(1);
}

TEST(EpochTest, NobodyWaitsForAWorkerThatSleeps) {
  Epoch epoch;
  epoch.Register(0);
  epoch.Online(0);
  bool ran = false;
  epoch.Defer([&] { ran = true; });
  epoch.Offline(0);
  epoch.Reclaim();
  EXPECT_TRUE(ran);
  epoch.Unregister(0);
}

TEST(EpochTest, WorkMayDeferMoreWork) {
  bool second = false;
  {
    Epoch epoch;
    epoch.Defer([&] { epoch.Defer([&] { second = true; }); });
    epoch.Synchronize();
    EXPECT_FALSE(second);
    EXPECT_EQ(epoch.deferred(), 1u);
  }
  EXPECT_TRUE(second) << "the destructor runs what is left";
}

// Readers look at an object that is poisoned right before it is freed: none may ever see that.
TEST(EpochTest, NoReaderSeesAnObjectAfterItsGracePeriod) {
  struct Object {
    explicit Object(std::atomic<int>& live_objects) : live(live_objects) { ++live; }
    ~Object() {
      alive.store(false);
      --live;
    }
    std::atomic<int>& live;
    std::atomic<bool> alive{true};
  };
  std::atomic<int> live{0};
  std::atomic<bool> stop{false};
  std::atomic<unsigned> bad{0};
  std::atomic<unsigned> reads{0};
  {
    Epoch epoch;
    Published<Object> published(epoch);
    published.Replace(std::make_unique<Object>(live));
    std::vector<std::thread> readers;
    for (unsigned id = 0; id < 2; ++id) {
      readers.emplace_back([&, id] {
        epoch.Register(id);
        epoch.Online(id);
        while (!stop.load()) {
          const Object* object = published.Read();
          for (int i = 0; i < 20; ++i) {
            bad += object->alive.load() ? 0 : 1;
          }
          ++reads;
          epoch.Quiet(id);
        }
        epoch.Unregister(id);
      });
    }
    for (int i = 0; i < 2000 || reads.load() < 1000; ++i) {
      published.Replace(std::make_unique<Object>(live));
      epoch.Reclaim();
    }
    epoch.Synchronize();
    EXPECT_EQ(live.load(), 1) << "everything but the published object is freed";
    stop = true;
    for (std::thread& reader : readers) {
      reader.join();
    }
  }
  EXPECT_EQ(bad.load(), 0u);
  EXPECT_EQ(live.load(), 0);
}

}  // namespace
}  // namespace penstock
