#include "dataplane/base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class EventLoopTest : public ::testing::Test {
 protected:
  EventLoopTest() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair_), 0); }
  ~EventLoopTest() override {
    close(pair_[0]);
    close(pair_[1]);
  }
  void WriteByte() { ASSERT_EQ(write(pair_[1], "x", 1), 1); }
  void ReadByte() {
    char byte;
    ASSERT_EQ(read(pair_[0], &byte, 1), 1);
  }

  int pair_[2];
  EventLoop loop_;
};

TEST_F(EventLoopTest, CallsBackAsLongAsADescriptorIsReadable) {
  int calls = 0;
  const EventLoop::Handle handle = loop_.OnReadable(pair_[0], [&calls] { ++calls; });
  loop_.RunOnce();
  EXPECT_EQ(calls, 0);
  WriteByte();
  loop_.RunOnce();
  loop_.RunOnce();
  EXPECT_EQ(calls, 2);
  ReadByte();
  loop_.RunOnce();
  EXPECT_EQ(calls, 2);
}

TEST_F(EventLoopTest, WatchesReadingAndWritingOfOneDescriptor) {
  int readable = 0, writable = 0;
  const EventLoop::Handle reader = loop_.OnReadable(pair_[0], [&readable] { ++readable; });
  EventLoop::Handle writer = loop_.OnWritable(pair_[0], [&writable] { ++writable; });
  loop_.RunOnce();
  EXPECT_EQ(readable, 0);
  EXPECT_EQ(writable, 1);
  writer.reset();
  WriteByte();
  loop_.RunOnce();
  EXPECT_EQ(readable, 1);
  EXPECT_EQ(writable, 1);
}

TEST_F(EventLoopTest, EndsAWatchWithItsHandle) {
  int calls = 0;
  EventLoop::Handle handle = loop_.OnReadable(pair_[0], [&calls] { ++calls; });
  WriteByte();
  handle.reset();
  loop_.RunOnce();
  EXPECT_EQ(calls, 0);
}

TEST_F(EventLoopTest, LetsACallbackEndItsOwnWatch) {
  const std::string capture(100, 'c');  // on the heap, so that a use after free shows
  std::string seen;
  EventLoop::Handle handle;
  handle = loop_.OnReadable(pair_[0], [&handle, &seen, capture] {
    handle.reset();
    seen = capture;
  });
  WriteByte();
  loop_.RunOnce();
  loop_.RunOnce();
  EXPECT_EQ(seen, capture);
}

TEST_F(EventLoopTest, LetsHandlesOutliveTheLoop) {
  auto loop = std::make_unique<EventLoop>();
  EventLoop::Handle handle = loop->OnReadable(pair_[0], [] {});
  loop.reset();
  handle.reset();
}

TEST_F(EventLoopTest, RunsAOneShotTimerOnceAndAPeriodicOneAgain) {
  int once = 0, again = 0;
  const EventLoop::Handle timer = loop_.After(microseconds(10), [&once] { ++once; });
  const EventLoop::Handle ticker = loop_.Every(microseconds(100), [&] {
    if (++again == 5) {
      loop_.Stop();
    }
  });
  loop_.Run();
  EXPECT_EQ(once, 1);
  EXPECT_EQ(again, 5);
}

TEST_F(EventLoopTest, RunsTimersInTheirOrder) {
  std::vector<int> order;
  const EventLoop::Handle late = loop_.After(milliseconds(2), [&] {
    order.push_back(2);
    loop_.Stop();
  });
  const EventLoop::Handle early = loop_.After(microseconds(1), [&] { order.push_back(1); });
  loop_.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(EventLoopTest, HearsSignals) {
  int calls = 0;
  const EventLoop::Handle handle = loop_.OnSignal(SIGUSR1, [&] {
    ++calls;
    loop_.Stop();
  });
  ASSERT_EQ(raise(SIGUSR1), 0);
  loop_.Run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, KeepsWorkThatIsPostedBeforeItRuns) {
  std::vector<int> order;
  loop_.Post([&] { order.push_back(1); });
  loop_.Post([&] {
    order.push_back(2);
    loop_.Post([&] {
      order.push_back(3);
      loop_.Stop();
    });
  });
  loop_.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, StopsEvenIfToldBeforeItRuns) {
  loop_.Stop();
  loop_.Run();
  int calls = 0;
  loop_.Post([&] {
    ++calls;
    loop_.Stop();
  });
  loop_.Run();  // and can run again
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, TakesWorkFromOtherThreads) {
  constexpr int kThreads = 4, kEach = 1000;
  int done = 0;  // written by the loop's thread only
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &done] {
      for (int j = 0; j < kEach; ++j) {
        loop_.Post([this, &done] {
          if (++done == kThreads * kEach) {
            loop_.Stop();
          }
        });
      }
    });
  }
  loop_.Run();
  EXPECT_EQ(done, kThreads * kEach);
}

}  // namespace
}  // namespace penstock
