#include "dataplane/base/event_loop.h"

#include <event2/event.h>
#include <event2/thread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"

namespace penstock {
namespace {

using Base = std::shared_ptr<event_base>;

Base MakeBase() {
  static std::once_flag once;
  std::call_once(once, [] { PENSTOCK_CHECK(evthread_use_pthreads() == 0); });
  event_config* config = event_config_new();
  PENSTOCK_CHECK(config != nullptr);
  event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  PENSTOCK_CHECK(base != nullptr);
  return Base(base, event_base_free);
}

timeval ToTimeval(std::chrono::microseconds duration) {
  const int64_t count = std::max<int64_t>(duration.count(), 0);
  return {.tv_sec = count / 1'000'000, .tv_usec = count % 1'000'000};
}

// Outlives its Watch while the callback runs, so that a callback may drop its own handle. Keeps the
// base alive too: handles may be dropped after the loop.
struct Registration : std::enable_shared_from_this<Registration> {
  Base base;
  std::function<void()> callback;
  event* handle = nullptr;

  static void Trampoline(evutil_socket_t, short, void* argument) {
    const std::shared_ptr<Registration> self =
        static_cast<Registration*>(argument)->shared_from_this();
    self->callback();
  }
};

class EventWatch : public EventLoop::Watch {
 public:
  EventWatch(Base base, int descriptor, int events, std::function<void()> callback,
             const timeval* timeout)
      : registration_(std::make_shared<Registration>()) {
    registration_->base = std::move(base);
    registration_->callback = std::move(callback);
    registration_->handle =
        event_new(registration_->base.get(), descriptor, static_cast<short>(events),
                  &Registration::Trampoline, registration_.get());
    PENSTOCK_CHECK(registration_->handle != nullptr);
    PENSTOCK_CHECK(event_add(registration_->handle, timeout) == 0);
  }
  ~EventWatch() override { event_free(std::exchange(registration_->handle, nullptr)); }
  EventWatch(const EventWatch&) = delete;
  EventWatch& operator=(const EventWatch&) = delete;

 private:
  std::shared_ptr<Registration> registration_;
};

}  // namespace

struct EventLoop::Impl {
  Base base = MakeBase();
  event* wake = nullptr;
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // guarded by mutex

  Impl() {
    wake = event_new(base.get(), -1, EV_PERSIST, &Impl::OnWake, this);
    PENSTOCK_CHECK(wake != nullptr);
  }
  ~Impl() { event_free(wake); }

  EventLoop::Handle Watch(int descriptor, int events, std::function<void()> callback,
                          const timeval* timeout = nullptr) {
    return std::make_unique<EventWatch>(base, descriptor, events, std::move(callback), timeout);
  }

  static void OnWake(evutil_socket_t, short, void* argument) {
    auto* self = static_cast<Impl*>(argument);
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(self->mutex);
      work.swap(self->posted);
    }
    for (const std::function<void()>& item : work) {
      item();
    }
    if (self->stop.load()) {
      event_base_loopbreak(self->base.get());
    }
  }
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

EventLoop::Handle EventLoop::OnReadable(int descriptor, std::function<void()> callback) {
  return impl_->Watch(descriptor, EV_READ | EV_PERSIST, std::move(callback));
}

EventLoop::Handle EventLoop::OnWritable(int descriptor, std::function<void()> callback) {
  return impl_->Watch(descriptor, EV_WRITE | EV_PERSIST, std::move(callback));
}

EventLoop::Handle EventLoop::OnSignal(int signal, std::function<void()> callback) {
  return impl_->Watch(signal, EV_SIGNAL | EV_PERSIST, std::move(callback));
}

EventLoop::Handle EventLoop::Every(std::chrono::microseconds period,
                                   std::function<void()> callback) {
  const timeval timeout = ToTimeval(period);
  return impl_->Watch(-1, EV_PERSIST, std::move(callback), &timeout);
}

EventLoop::Handle EventLoop::After(std::chrono::microseconds delay,
                                   std::function<void()> callback) {
  const timeval timeout = ToTimeval(delay);
  return impl_->Watch(-1, 0, std::move(callback), &timeout);
}

void EventLoop::Post(std::function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(work));
  }
  event_active(impl_->wake, EV_READ, 0);
}

void EventLoop::Run() {
  event_base_loop(impl_->base.get(), EVLOOP_NO_EXIT_ON_EMPTY);
  impl_->stop.store(false);
}

// NONBLOCK alone would go round for as long as a descriptor stays ready.
void EventLoop::RunOnce() { event_base_loop(impl_->base.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK); }

// An activated event waits for the loop, which a bare loopbreak before Run would not.
void EventLoop::Stop() {
  impl_->stop.store(true);
  event_active(impl_->wake, EV_READ, 0);
}

}  // namespace penstock
