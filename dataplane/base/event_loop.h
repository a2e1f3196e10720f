// The control thread's loop over libevent: descriptors, timers, signals and work from other
// threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace penstock {

// One thread runs it and makes all calls, but for Post and Stop, which any thread may call.
class EventLoop {
 public:
  // Ends the watch when destroyed; it may be destroyed from within its own callback.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  using Handle = std::unique_ptr<Watch>;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls back while the descriptor is readable (level triggered). The descriptor stays the
  // caller's.
  [[nodiscard]] Handle OnReadable(int descriptor, std::function<void()> callback);
  [[nodiscard]] Handle OnWritable(int descriptor, std::function<void()> callback);
  [[nodiscard]] Handle OnSignal(int signal, std::function<void()> callback);
  [[nodiscard]] Handle Every(std::chrono::microseconds period, std::function<void()> callback);
  [[nodiscard]] Handle After(std::chrono::microseconds delay, std::function<void()> callback);

  // Runs `work` on the loop's thread soon. Work that is posted before Run is kept.
  void Post(std::function<void()> work);
  // Runs until Stop.
  void Run();
  // Handles what is ready now and returns (tests).
  void RunOnce();
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
