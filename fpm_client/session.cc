#include "fpm_client/session.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock::fpm {
namespace {

// Of one turn of the loop: others want their turn too, and zebra is patient for seconds.
constexpr int kReadsATurn = 4;
constexpr size_t kAnswersAtOnce = 1u << 16;

}  // namespace

Session::Session(EventLoop& loop, int descriptor, RouteReceiver& receiver,
                 Acknowledger* acknowledger, Ended ended)
    : loop_(loop),
      descriptor_(descriptor),
      receiver_(receiver),
      acknowledger_(acknowledger),
      ended_(std::move(ended)) {
  readable_ = loop_.OnReadable(descriptor_, [this] { Read(); });
}

Session::~Session() {
  readable_.reset();
  writable_.reset();
  close(descriptor_);
}

void Session::Read() {
  for (int i = 0; i < kReadsATurn; ++i) {
    const std::span<uint8_t> space = frames_.Space();
    const ssize_t got = recv(descriptor_, space.data(), space.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      break;
    }
    if (got <= 0) {
      const std::string why = got == 0 ? "zebra closed it" : strerror(errno);
      return Ended(ended_)(why);  // a copy: this object may go meanwhile
    }
    receiver_.counters().bytes += static_cast<uint64_t>(got);
    frames_.Wrote(static_cast<size_t>(got));
    if (const Status taken = TakeFrames(); !taken) {
      receiver_.Complain(taken.error());
      return Ended(ended_)(taken.error().message);
    }
    if (static_cast<size_t>(got) < space.size()) {
      break;
    }
  }
  Write();
}

Status Session::TakeFrames() {
  while (true) {
    const Result<std::optional<std::span<const uint8_t>>> frame = frames_.Next();
    if (!frame) {
      return tl::make_unexpected(frame.error());
    }
    if (!*frame) {
      return {};
    }
    receiver_.Frame(**frame);
  }
}

void Session::Write() {
  if (acknowledger_ == nullptr || writable_ != nullptr) {
    return;
  }
  while (true) {
    if (written_ == out_.size()) {
      out_.clear();
      written_ = 0;
      acknowledger_->Fill(out_, kAnswersAtOnce);
      if (out_.empty()) {
        return;
      }
    }
    const ssize_t sent =
        send(descriptor_, out_.data() + written_, out_.size() - written_, MSG_NOSIGNAL);
    if (sent > 0) {
      written_ += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      writable_ = loop_.OnWritable(descriptor_, [this] {
        const EventLoop::Handle done = std::move(writable_);
        Write();
      });
      return;
    } else if (errno != EINTR) {
      return;  // reading finds the end
    }
  }
}

}  // namespace penstock::fpm
