// One gateway's share of a batch of packets in memory: what stands in for its ports, and the run.
#pragma once

#include <rte_cycles.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "bench/pace.h"
#include "bench/site.h"

namespace penstock {

// An input queue over an array of packets.
struct Feed {
  Packet** packets = nullptr;
  unsigned count = 0;
  unsigned next = 0;
  unsigned burst = 0;
  Pace* pace = nullptr;  // null: packets are always there

  static uint16_t Receive(void* context, uint16_t, uint16_t, Packet** packets, uint16_t count) {
    auto& feed = *static_cast<Feed*>(context);
    unsigned taken = std::min({unsigned{count}, feed.burst, feed.count - feed.next});
    if (feed.pace != nullptr) {
      taken = feed.pace->Take(taken);
    }
    std::copy_n(feed.packets + feed.next, taken, packets);
    feed.next += taken;
    return static_cast<uint16_t>(taken);
  }
};

// An output queue that keeps the packets.
struct Sink {
  std::vector<Packet*> packets;
  unsigned count = 0;
  Pace* pace = nullptr;

  static uint16_t Send(void* context, uint16_t, uint16_t, Packet** packets, uint16_t count) {
    auto& sink = *static_cast<Sink*>(context);
    std::copy_n(packets, count, sink.packets.data() + sink.count);
    sink.count += count;
    if (sink.pace != nullptr) {
      sink.pace->Sent(count);
    }
    return count;
  }
};

// One gateway's share of a batch, run by the appliance's own worker loop.
class Passage {
 public:
  Passage(Site& site, unsigned worker, unsigned batch, unsigned burst)
      : epoch_(site.tables().epoch),
        worker_(site.worker(worker)),
        pipeline_(site.pipeline(worker)) {
    feed_.burst = burst;
    sink_.packets.resize(batch);
    worker_.inputs[0] = {.receive = Feed::Receive, .context = &feed_, .index = kInputPort};
    worker_.input_count = 1;
    OutputQueue& output = worker_.outputs[kOutputPort];
    output.send = Sink::Send;
    output.context = &sink_;
    output.up = true;
  }

  // Takes all packets through; TSC cycles from the first poll to the end of the last. The packets
  // that came out are in `packets` afterwards.
  uint64_t Run(std::vector<Packet*>& packets) {
    for (unsigned stage = 0; stage < kStageCount; ++stage) {
      stages_before_[stage] = worker_.counters.stages[stage].cycles.Read();
    }
    feed_.packets = packets.data();
    feed_.count = static_cast<unsigned>(packets.size());
    feed_.next = 0;
    sink_.count = 0;
    start_ = 0;
    stop_.store(false, std::memory_order_relaxed);
    RunWorkerLoop(worker_, epoch_, {.polling = Polling::kBusy}, stop_, -1, Poll, this);
    std::swap(packets, sink_.packets);
    packets.resize(sink_.count);
    sink_.packets.resize(packets.capacity());
    return end_ - start_;
  }

  // Cycles of a stage in the last run; 0 unless they are being counted.
  uint64_t StageCycles(unsigned stage) const {
    return worker_.counters.stages[stage].cycles.Read() - stages_before_[stage];
  }
  WorkerContext& worker() { return worker_; }
  // From the next run on, packets arrive at the pace's rate.
  void SetPace(Pace* pace) { feed_.pace = sink_.pace = pace; }

 private:
  static unsigned Poll(void* passage) {
    auto& self = *static_cast<Passage*>(passage);
    if (self.start_ == 0) {
      self.start_ = rte_rdtsc();
      if (self.feed_.pace != nullptr) {
        self.feed_.pace->Resume(self.start_);
      }
    }
    const unsigned handled = self.pipeline_.Poll();
    if (self.feed_.next == self.feed_.count) {
      self.end_ = rte_rdtsc();
      if (self.feed_.pace != nullptr) {
        self.feed_.pace->Halt(self.end_);
      }
      self.stop_.store(true, std::memory_order_relaxed);
    }
    return handled;
  }

  Epoch& epoch_;
  WorkerContext& worker_;
  Pipeline& pipeline_;
  Feed feed_;
  Sink sink_;
  uint64_t start_ = 0;
  uint64_t end_ = 0;
  uint64_t stages_before_[kStageCount] = {};
  std::atomic<bool> stop_{false};
};

}  // namespace penstock
