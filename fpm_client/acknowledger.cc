#include "fpm_client/acknowledger.h"

#include <linux/rtnetlink.h>

#include "fpm_client/route_message.h"

namespace penstock::fpm {
namespace {

// More than the largest table has routes; a zebra that reads nothing gets no more.
constexpr size_t kMostWaiting = 1u << 21;
constexpr uint8_t kBgp = 186;  // RTPROT_BGP of newer kernels' headers

}  // namespace

void Acknowledger::Announced(std::span<const RouteUpdate> updates, uint8_t protocol) {
  for (const RouteUpdate& update : updates) {
    Push({update.prefix, protocol, sink_.Alive(update.path)});
  }
}

// Only BGP waits for answers, and what protocol a route is of, zebra compares itself.
void Acknowledger::Changed(PathId path, bool alive) {
  sink_.VisitRoutes(path, [&](const Prefix& prefix) { Push({prefix, kBgp, alive}); });
}

void Acknowledger::Push(const Answer& answer) {
  if (waiting_.size() < kMostWaiting) {
    waiting_.push_back(answer);
  }
}

void Acknowledger::Fill(std::vector<uint8_t>& out, size_t limit) {
  while (!waiting_.empty() && out.size() < limit) {
    const Answer& answer = waiting_.front();
    AppendAcknowledgement(answer.prefix, answer.protocol, RT_TABLE_MAIN, 0, answer.offloaded, out);
    ++(answer.offloaded ? offloaded_ : failed_);
    waiting_.pop_front();
  }
}

}  // namespace penstock::fpm
