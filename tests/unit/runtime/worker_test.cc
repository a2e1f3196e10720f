#include "dataplane/runtime/worker.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <rte_cycles.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/runtime/fixtures.h"

namespace penstock {
namespace {

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() { worker_->now = 77; }
  const WorkerCounters& counters() const { return worker_->counters; }
  uint64_t Drops(DropReason reason) const {
    return counters().drops[static_cast<unsigned>(reason)].Read();
  }
  LastDrop Last(DropReason reason) const {
    return ReadLastDrop(counters().last_drops[static_cast<unsigned>(reason)]).value_or(LastDrop{});
  }
  Pool pool_;
  std::unique_ptr<WorkerContext> worker_ = std::make_unique<WorkerContext>();
};

TEST_F(WorkerTest, DropFreesTheWholeChain) {
  Packet* packet = pool_.Make(Ipv4Frame(17, 200), 50);
  Drop(*worker_, packet, DropReason::kNoRoute);
  EXPECT_EQ(pool_.in_use(), 0u);
  EXPECT_EQ(Drops(DropReason::kNoRoute), 1u);
}

TEST_F(WorkerTest, DropWithoutAPacketIsCounted) {
  Drop(*worker_, nullptr, DropReason::kNoBuffer);
  EXPECT_EQ(Drops(DropReason::kNoBuffer), 1u);
}

TEST_F(WorkerTest, LastDropSaysWhoseItWas) {
  Packet* packet = pool_.Make(Ipv4Frame(17, 20));
  NotesOf(packet).l3_offset = 14;
  NotesOf(packet).input_port = 3;
  NotesOf(packet).input_tunnel = 9;
  Drop(*worker_, packet, DropReason::kTtlExceeded);
  const LastDrop last = Last(DropReason::kTtlExceeded);
  EXPECT_EQ(last.tsc, 77u);
  EXPECT_EQ(last.port, 3);
  EXPECT_EQ(last.tunnel, 9u);
  EXPECT_EQ(last.family, 4);
  EXPECT_EQ(last.protocol, 17);
  EXPECT_EQ(IpAddress::V4(last.source), IpAddress::V4(0xc0000201u));
  EXPECT_EQ(IpAddress::V4(last.destination), IpAddress::V4(0xc6336402u));
}

TEST_F(WorkerTest, LastDropOfEspHasSpiAndSequence) {
  std::vector<uint8_t> frame = Ipv4Frame(50, 40);
  const uint8_t esp[8] = {0x12, 0x34, 0x56, 0x78, 0, 0, 1, 2};
  std::copy(std::begin(esp), std::end(esp), frame.begin() + 34);
  for (const DropReason reason : {DropReason::kNoSa, DropReason::kReplayLate}) {
    Packet* packet = pool_.Make(frame);
    NotesOf(packet).l3_offset = 14;
    NotesOf(packet).esp_offset = 34;
    NotesOf(packet).sequence = 0x500000102;
    Drop(*worker_, packet, reason);
  }
  EXPECT_EQ(Last(DropReason::kNoSa).spi, 0x12345678u);
  EXPECT_EQ(Last(DropReason::kNoSa).sequence, 0x102u) << "no SA: only what the wire says";
  EXPECT_EQ(Last(DropReason::kReplayLate).sequence, 0x500000102u);
}

TEST_F(WorkerTest, LastDropOfAnUnclassifiedFrameReadsTheFrame) {
  Packet* packet = pool_.Make(Ipv4Frame(6, 20));
  NotesOf(packet).l3_offset = 9999;  // left over from the buffer's earlier life
  Drop(*worker_, packet, DropReason::kNotForUs);
  EXPECT_EQ(Last(DropReason::kNotForUs).protocol, 6);
}

TEST_F(WorkerTest, DropReadsNothingBeyondAShortPacket) {
  for (unsigned reason = 0; reason < kDropReasonCount; ++reason) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{13}, size_t{30}}) {
      std::vector<uint8_t> frame = Ipv4Frame(50, 0);
      frame.resize(size);
      Packet* packet = pool_.Make(frame);
      NotesOf(packet).l3_offset = 65535;
      NotesOf(packet).esp_offset = 65530;
      Drop(*worker_, packet, static_cast<DropReason>(reason));
      EXPECT_EQ(Last(static_cast<DropReason>(reason)).family, 0);
    }
  }
  EXPECT_EQ(pool_.in_use(), 0u);
}

// A device that takes a given number of packets a call.
struct Sink {
  std::vector<unsigned> accepts;
  unsigned calls = 0;
  static uint16_t Send(void* context, uint16_t, uint16_t, Packet** packets, uint16_t count) {
    auto* sink = static_cast<Sink*>(context);
    const unsigned limit = sink->calls < sink->accepts.size() ? sink->accepts[sink->calls] : 0;
    ++sink->calls;
    const auto taken = static_cast<uint16_t>(std::min<unsigned>(count, limit));
    for (unsigned i = 0; i < taken; ++i) {
      rte_pktmbuf_free(packets[i]);
    }
    return taken;
  }
};

class FlushTest : public WorkerTest {
 protected:
  void Queue(Sink& sink, unsigned count) {
    OutputQueue& output = worker_->outputs[5];
    output.send = Sink::Send;
    output.context = &sink;
    output.up = true;
    for (unsigned i = 0; i < count; ++i) {
      worker_->counters.received.Add(1);
      Transmit(*worker_, output, pool_.Make(Ipv4Frame(17, i)));
    }
  }
};

TEST_F(FlushTest, CountsWhatTheDeviceTookAndDropsTheRest) {
  Sink sink{{4, 2, 1}};
  Queue(sink, 10);
  FlushOutput(*worker_, worker_->outputs[5]);
  EXPECT_EQ(sink.calls, 3u) << "tries again twice, then gives up";
  EXPECT_EQ(counters().sent.Read(), 7u);
  EXPECT_EQ(counters().ports[5].sent_packets.Read(), 7u);
  EXPECT_EQ(counters().ports[5].sent_bytes.Read(), 7u * 34 + 0 + 1 + 2 + 3 + 4 + 5 + 6);
  EXPECT_EQ(Drops(DropReason::kTransmitFull), 3u);
  EXPECT_EQ(worker_->outputs[5].count, 0);
  EXPECT_EQ(PacketBalance(counters()), 0);
  EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(FlushTest, DropsEverythingWhileTheLinkIsDown) {
  Sink sink{{64}};
  Queue(sink, 3);
  worker_->outputs[5].up = false;
  FlushOutput(*worker_, worker_->outputs[5]);
  EXPECT_EQ(sink.calls, 0u);
  EXPECT_EQ(Drops(DropReason::kPortDown), 3u);
  EXPECT_EQ(PacketBalance(counters()), 0);
  EXPECT_EQ(pool_.in_use(), 0u);
}

TEST_F(FlushTest, AFullBurstIsSentWithoutAsking) {
  Sink sink{{64, 64}};
  Queue(sink, kBurst + 1);
  EXPECT_EQ(counters().sent.Read(), kBurst);
  FlushOutput(*worker_, worker_->outputs[5]);
  EXPECT_EQ(counters().sent.Read(), kBurst + 1);
}

TEST_F(WorkerTest, EventsComeOutAsTheyWentInUntilTheRingIsFull) {
  ASSERT_TRUE(MakeWorkerRings(*worker_, 64, 8, SOCKET_ID_ANY));
  WorkerEvent event = {.kind = WorkerEvent::Kind::kMappingChanged, .port = 4500};
  event.address = IpAddress::V4(0x01020304u);
  for (uint32_t slot = 0; slot < 20; ++slot) {
    event.slot = slot;
    worker_->PushEvent(event);
  }
  EXPECT_TRUE(worker_->event_pending.load());
  WorkerEvent out = {};
  for (uint32_t slot = 0; slot < 7; ++slot) {
    ASSERT_TRUE(PopEvent(*worker_, out));
    EXPECT_EQ(out.slot, slot);
  }
  EXPECT_EQ(out.address, event.address);
  EXPECT_EQ(out.port, 4500);
  EXPECT_FALSE(PopEvent(*worker_, out));
  FreeWorkerRings(*worker_);
}

struct Loop {
  explicit Loop(WorkerContext& context, WorkerLoopOptions loop_options, unsigned (*poll)(void*),
                void* argument)
      : worker(context), options(loop_options) {
    thread = std::thread([this, poll, argument] {
      RunWorkerLoop(worker, epoch, options, stop, wake, poll, argument);
    });
  }
  ~Loop() {
    stop = true;
    thread.join();
    close(wake);
  }
  WorkerContext& worker;
  WorkerLoopOptions options;
  Epoch epoch;
  std::atomic<bool> stop{false};
  int wake = eventfd(0, EFD_NONBLOCK);
  std::thread thread;
};

TEST_F(WorkerTest, AnIdleLoopSleepsAndStops) {
  Loop loop(
      *worker_, {}, [](void*) { return 0u; }, nullptr);
  EXPECT_TRUE(Eventually([&] { return counters().sleeps.Read() > 20; }));
  EXPECT_GE(counters().idle_polls.Read(), 64u);
  EXPECT_EQ(counters().busy_cycles.Read(), 0u);
  loop.epoch.Synchronize();
}

TEST_F(WorkerTest, ABusyLoopNeverSleeps) {
  Loop loop(
      *worker_, {.polling = Polling::kBusy}, [](void*) { return 0u; }, nullptr);
  EXPECT_TRUE(Eventually([&] { return counters().polls.Read() > 10000; }));
  EXPECT_EQ(counters().sleeps.Read(), 0u);
  loop.epoch.Synchronize();
}

TEST_F(WorkerTest, ALoopWithTrafficNeverSleepsAndCountsItsCycles) {
  Loop loop(
      *worker_, {}, [](void*) { return 1u; }, nullptr);
  EXPECT_TRUE(Eventually([&] { return counters().polls.Read() > 10000; }));
  EXPECT_EQ(counters().sleeps.Read(), 0u);
  EXPECT_GT(counters().busy_cycles.Read(), 0u);
}

TEST_F(WorkerTest, AnEventWakesTheControlThread) {
  ASSERT_TRUE(MakeWorkerRings(*worker_, 64, 8, SOCKET_ID_ANY));
  struct State {
    WorkerContext& worker;
    bool pushed = false;
  } state{*worker_};
  {
    Loop loop(
        *worker_, {},
        [](void* argument) {
          auto* self = static_cast<State*>(argument);
          if (!self->pushed) {
            self->pushed = true;
            self->worker.PushEvent({.kind = WorkerEvent::Kind::kSoftLifetime});
          }
          return 0u;
        },
        &state);
    pollfd ready = {loop.wake, POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 10000), 1);
  }
  WorkerEvent event = {};
  EXPECT_TRUE(PopEvent(*worker_, event));
  FreeWorkerRings(*worker_);
}

}  // namespace
}  // namespace penstock
