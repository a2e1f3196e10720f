#include "bench/rekey.h"

#include <thread>

namespace penstock {
namespace {

constexpr uint32_t kSpiWindow = 1u << 15;  // SPIs go round in it; more than are ever alive
constexpr size_t kMostOld = 4096;
constexpr auto kPause = std::chrono::microseconds(50);

}  // namespace

RekeyStorm::RekeyStorm(Site& encrypts, Site* decrypts, double per_second,
                       std::function<Progress()> progress)
    : encrypts_(encrypts),
      decrypts_(decrypts),
      per_second_(per_second),
      progress_(std::move(progress)) {
  for (uint32_t tunnel = 0; tunnel < encrypts.tunnel_count(); ++tunnel) {
    spis_.push_back(encrypts.outbound_spi(tunnel));
  }
  next_spi_ = spis_.back() + 1;
}

Status RekeyStorm::Run(const std::function<bool()>& finished) {
  const auto start = std::chrono::steady_clock::now();
  while (!finished()) {
    time_ = std::chrono::steady_clock::now() - start;
    if (old_.size() >= kMostOld || static_cast<double>(replaced_) >= time_.count() * per_second_) {
      RemoveOld();
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (Status status = Replace(); !status) {
      return status;
    }
    RemoveOld();
  }
  time_ = std::chrono::steady_clock::now() - start;
  return {};
}

// The receiver knows the new SA before the sender uses it, and forgets the old one when nothing
// can be on its way any more.
Status RekeyStorm::Replace() {
  const auto tunnel = static_cast<uint32_t>(replaced_ % spis_.size());
  const uint32_t spi = next_spi_;
  const auto window = static_cast<uint32_t>(spis_.size()) + kSpiWindow;
  next_spi_ = kFirstSpi + (next_spi_ - kFirstSpi + 1) % window;
  if (decrypts_ != nullptr) {
    if (Status status = decrypts_->AddInbound(tunnel, spi); !status) {
      return status;
    }
  }
  if (Status status = encrypts_.ReplaceOutbound(tunnel, spi); !status) {
    return status;
  }
  old_.push_back({spis_[tunnel], progress_().fastest});
  spis_[tunnel] = spi;
  ++replaced_;
  return {};
}

void RekeyStorm::RemoveOld() {
  const uint64_t finished = progress_().slowest;
  // Workers may be one batch further than their count said.
  while (!old_.empty() && finished >= old_.front().batch + 2) {
    if (decrypts_ != nullptr) {
      decrypts_->RemoveInbound(old_.front().spi);
    }
    old_.pop_front();
  }
  encrypts_.tables().epoch.Reclaim();
  if (decrypts_ != nullptr) {
    decrypts_->tables().epoch.Reclaim();
  }
}

double RekeyStorm::per_second() const {
  return time_.count() > 0 ? static_cast<double>(replaced_) / time_.count() : 0;
}

}  // namespace penstock
