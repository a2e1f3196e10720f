// Grace periods over rte_rcu_qsbr: what the control thread unpublishes is freed once every worker
// has passed a quiet point. No worker ever waits; the control thread waits only when it asks to.
#pragma once

#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "dataplane/runtime/counters.h"

namespace penstock {

class Epoch {
 public:
  Epoch();
  ~Epoch();  // runs what is still deferred; workers must have unregistered
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;

  // Worker side. A worker registers and goes online before its first read and reports a quiet point
  // between bursts; while it sleeps it is offline and nobody waits for it.
  void Register(unsigned worker);
  void Unregister(unsigned worker);
  void Online(unsigned worker) { rte_rcu_qsbr_thread_online(qsbr_, worker); }
  void Offline(unsigned worker) { rte_rcu_qsbr_thread_offline(qsbr_, worker); }
  void Quiet(unsigned worker) { rte_rcu_qsbr_quiescent(qsbr_, worker); }

  // Control side, one thread. Runs `work` after a grace period, from a later call of Reclaim.
  void Defer(std::function<void()> work);
  // Runs what is due; called from a timer and before tables are asked for space. Never waits.
  void Reclaim();
  // Waits for a full grace period and runs everything deferred so far (shutdown, tests).
  void Synchronize();
  size_t deferred() const { return pending_.size(); }

 private:
  struct Pending {
    uint64_t token;
    std::function<void()> work;
  };
  rte_rcu_qsbr* qsbr_;
  std::deque<Pending> pending_;
};

// A pointer that workers read and the control thread replaces; the old object lives on for a grace
// period.
template <typename T>
class Published {
 public:
  explicit Published(Epoch& epoch) : epoch_(epoch) {}
  ~Published() { delete pointer_.load(std::memory_order_relaxed); }
  // Worker side: valid until the worker's next quiet point. May be null.
  const T* Read() const { return pointer_.load(std::memory_order_acquire); }
  // Control side.
  void Replace(std::unique_ptr<T> next) {
    T* old = pointer_.exchange(next.release(), std::memory_order_acq_rel);
    if (old != nullptr) {
      epoch_.Defer([old] { delete old; });
    }
  }

 private:
  Epoch& epoch_;
  std::atomic<T*> pointer_{nullptr};
};

}  // namespace penstock
