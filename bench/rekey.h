// Replaces SAs while the workers forward: what a storm of rekeys does to a gateway.
#pragma once

#include <chrono>
#include <deque>
#include <functional>

#include "bench/site.h"

namespace penstock {

class RekeyStorm {
 public:
  // How many batches the slowest and the fastest worker have finished.
  struct Progress {
    uint64_t slowest, fastest;
  };

  // `decrypts` may be null.
  RekeyStorm(Site& encrypts, Site* decrypts, double per_second, std::function<Progress()> progress);

  // Replaces SAs, one tunnel after the other, until `finished` says so; on the control thread.
  Status Run(const std::function<bool()>& finished);

  uint64_t replaced() const { return replaced_; }
  double per_second() const;

 private:
  struct Old {
    uint32_t spi;
    uint64_t batch;  // the last one that may have used it
  };
  Status Replace();
  void RemoveOld();

  Site& encrypts_;
  Site* decrypts_;
  double per_second_;
  std::function<Progress()> progress_;
  std::deque<Old> old_;
  std::vector<uint32_t> spis_;
  uint32_t next_spi_;
  uint64_t replaced_ = 0;
  std::chrono::duration<double> time_{0};
};

}  // namespace penstock
