// Hands things that were unpublished back to their table one grace period later, in batches.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/runtime/epoch.h"

namespace penstock {

// At most one Epoch::Defer is outstanding, however much is retired: while it waits, the next batch
// gathers. That makes a million withdrawals cost a handful of deferrals. Control thread only. When
// the queue is destroyed first, what still waits is destroyed after its grace period and not handed
// back.
template <typename T>
class RetireQueue {
 public:
  RetireQueue(Epoch& epoch, std::function<void(T)> give_back)
      : state_(std::make_shared<State>(epoch, std::move(give_back))) {}
  ~RetireQueue() { state_->give_back = nullptr; }
  RetireQueue(const RetireQueue&) = delete;
  RetireQueue& operator=(const RetireQueue&) = delete;

  void Retire(T item) {
    state_->gathering.push_back(std::move(item));
    if (!state_->waiting) {
      Defer(state_);
    }
  }
  // Tries to get something back now, without waiting for anyone.
  void Reclaim() { state_->epoch.Reclaim(); }

 private:
  struct State {
    State(Epoch& epoch_in, std::function<void(T)> give_back_in)
        : epoch(epoch_in), give_back(std::move(give_back_in)) {}
    Epoch& epoch;
    std::function<void(T)> give_back;
    std::vector<T> gathering;
    bool waiting = false;
  };

  static void Defer(const std::shared_ptr<State>& state) {
    state->waiting = true;
    auto batch = std::make_shared<std::vector<T>>(std::exchange(state->gathering, {}));
    state->epoch.Defer([state, batch] {
      state->waiting = false;
      if (state->give_back) {
        for (T& item : *batch) {
          state->give_back(std::move(item));
        }
      }
      if (!state->gathering.empty()) {
        Defer(state);
      }
    });
  }

  std::shared_ptr<State> state_;
};

}  // namespace penstock
