#include "dataplane/runtime/epoch.h"

#include <sched.h>

#include <cstdlib>

#include "dataplane/base/result.h"

namespace penstock {

Epoch::Epoch() {
  // Own memory instead of rte_malloc: grace periods then work before and without an EAL.
  const size_t needed = rte_rcu_qsbr_get_memsize(kMaxWorkers);
  const size_t rounded = (needed + kCacheLine - 1) / kCacheLine * kCacheLine;
  qsbr_ = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(kCacheLine, rounded));
  PENSTOCK_CHECK(qsbr_ != nullptr);
  PENSTOCK_CHECK(rte_rcu_qsbr_init(qsbr_, kMaxWorkers) == 0);
}

Epoch::~Epoch() {
  // Deferred work may defer more work, so the queue is asked again each time.
  while (!pending_.empty()) {
    std::function<void()> work = std::move(pending_.front().work);
    pending_.pop_front();
    work();
  }
  std::free(qsbr_);
}

void Epoch::Register(unsigned worker) {
  PENSTOCK_CHECK(rte_rcu_qsbr_thread_register(qsbr_, worker) == 0);
}

void Epoch::Unregister(unsigned worker) {
  rte_rcu_qsbr_thread_offline(qsbr_, worker);
  PENSTOCK_CHECK(rte_rcu_qsbr_thread_unregister(qsbr_, worker) == 0);
}

void Epoch::Defer(std::function<void()> work) {
  pending_.push_back({rte_rcu_qsbr_start(qsbr_), std::move(work)});
}

void Epoch::Reclaim() {
  while (!pending_.empty() && rte_rcu_qsbr_check(qsbr_, pending_.front().token, false) == 1) {
    std::function<void()> work = std::move(pending_.front().work);
    pending_.pop_front();
    work();
  }
}

void Epoch::Synchronize() {
  const uint64_t token = rte_rcu_qsbr_start(qsbr_);
  // Workers may share this CPU, so the wait gives it away. Workers that are not registered or are
  // offline count as quiet: with none online the first check succeeds.
  while (rte_rcu_qsbr_check(qsbr_, token, false) != 1) {
    sched_yield();
  }
  for (size_t due = pending_.size(); due > 0; --due) {
    std::function<void()> work = std::move(pending_.front().work);
    pending_.pop_front();
    work();
  }
}

}  // namespace penstock
