#include "dataplane/runtime/host_path.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "dataplane/base/log.h"
#include "dataplane/runtime/bfd_watch.h"

namespace penstock {
namespace {

constexpr unsigned kReadBatch = 32;
constexpr unsigned kMaxEvents = 64;
constexpr unsigned kMaxSegments = 64;
constexpr unsigned kLargestRead = 16 * 1024;  // above any MTU that ports offer

// A device's key in the epoll set and in the table: tunnels and ports do not collide.
constexpr uint64_t kWakeKey = UINT64_MAX;
constexpr uint64_t PortKey(uint16_t port) { return uint64_t{1} << 32 | port; }
constexpr uint64_t TunnelKey(uint32_t tunnel) { return tunnel; }
constexpr bool IsPortKey(uint64_t key) { return key >> 32 != 0; }

// The packet's bytes from `offset` on; returns how many vectors, 0 if there are too many or none.
unsigned Gather(Packet* packet, unsigned offset, iovec (&vectors)[kMaxSegments]) {
  unsigned count = 0;
  for (Packet* segment = packet; segment != nullptr; segment = segment->next) {
    if (offset >= segment->data_len) {
      offset -= segment->data_len;
      continue;
    }
    if (count == kMaxSegments) {
      return 0;
    }
    vectors[count++] = {rte_pktmbuf_mtod_offset(segment, void*, offset),
                        segment->data_len - size_t{offset}};
    offset = 0;
  }
  return count;
}

// Buffers that wait for the next read: as many as the largest packet needs. What a read filled
// becomes a packet, and only that much is replaced.
class ReadBuffers {
 public:
  explicit ReadBuffers(rte_mempool* pool)
      : pool_(pool),
        room_(static_cast<uint16_t>(rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM)),
        segments_((kLargestRead + room_ - 1) / room_) {}
  ~ReadBuffers() {
    for (Packet* packet : buffers_) {
      rte_pktmbuf_free(packet);
    }
  }

  // False when the pool is empty.
  bool Fill() {
    while (buffers_.size() < segments_) {
      Packet* packet = rte_pktmbuf_alloc(pool_);
      if (packet == nullptr) {
        return false;
      }
      vectors_.push_back({rte_pktmbuf_mtod(packet, void*), room_});
      buffers_.push_back(packet);
    }
    return true;
  }
  // Reads one packet; null when the descriptor has none (or is broken).
  Packet* Read(int descriptor) {
    const ssize_t size = readv(descriptor, vectors_.data(), static_cast<int>(vectors_.size()));
    if (size <= 0 || static_cast<size_t>(size) > size_t{segments_} * room_) {
      return nullptr;
    }
    return Take(static_cast<unsigned>(size));
  }

 private:
  Packet* Take(unsigned size) {
    const unsigned used = (size + room_ - 1) / room_;
    Packet* head = buffers_[0];
    for (unsigned i = 0; i < used; ++i) {
      buffers_[i]->data_len = static_cast<uint16_t>(std::min<unsigned>(size - i * room_, room_));
      buffers_[i]->next = i + 1 < used ? buffers_[i + 1] : nullptr;
    }
    head->pkt_len = size;
    head->nb_segs = static_cast<uint16_t>(used);
    buffers_.erase(buffers_.begin(), buffers_.begin() + used);
    vectors_.erase(vectors_.begin(), vectors_.begin() + used);
    return head;
  }

  rte_mempool* pool_;
  uint16_t room_;
  unsigned segments_;
  std::vector<Packet*> buffers_;
  std::vector<iovec> vectors_;
};

class HostPathThread final : public HostPath {
 public:
  HostPathThread(std::vector<WorkerContext*> workers, rte_mempool* pool)
      : workers_(std::move(workers)), buffers_(pool) {}
  ~HostPathThread() override;

  Status Begin();
  Status AddPort(uint16_t port, const HostDevice& device) override {
    return Add(PortKey(port), device);
  }
  Status AddTunnel(uint32_t tunnel, const HostDevice& device) override {
    return Add(TunnelKey(tunnel), device);
  }
  void RemovePort(uint16_t port) override { Remove(PortKey(port)); }
  void RemoveTunnel(uint32_t tunnel) override { Remove(TunnelKey(tunnel)); }
  void ObserveBfd(BfdObserver observer) override {
    const ControlLock lock(*this);
    observer_ = std::move(observer);
  }
  const HostPathCounters& counters() const override { return counters_; }
  void Wake() override;

 private:
  // Holds the table for the control thread; the host-path thread steps back for it between rounds,
  // since a mutex alone lets a busy thread take it again and again.
  class ControlLock {
   public:
    explicit ControlLock(HostPathThread& path) : path_(path) {
      path_.control_waits_.store(true);
      path_.mutex_.lock();
    }
    ~ControlLock() {
      path_.control_waits_.store(false);
      path_.mutex_.unlock();
    }

   private:
    HostPathThread& path_;
  };

  Status Add(uint64_t key, const HostDevice& device);
  void Remove(uint64_t key);
  void Run();
  bool DrainWorkers();
  bool WorkersQueued() const;
  void Write(Packet* packet);
  void HandleEvents(const epoll_event* events, int count);
  void ReadDevice(uint64_t key, int descriptor);
  void Hand(uint64_t key, Packet** packets, unsigned count);
  void Observe(uint32_t tunnel, bool from_host, const Packet* packet, unsigned offset);
  void Signal();

  std::vector<WorkerContext*> workers_;
  HostPathCounters counters_;
  int epoll_ = -1;
  int wake_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> control_waits_{false};
  std::mutex mutex_;  // guards devices_ and observer_, held by the thread for one round
  std::unordered_map<uint64_t, int> devices_;
  BfdObserver observer_;
  ReadBuffers buffers_;  // of the thread
  std::thread thread_;
};

HostPathThread::~HostPathThread() {
  if (thread_.joinable()) {
    stop_.store(true);
    Signal();
    thread_.join();
  }
  for (WorkerContext* worker : workers_) {
    void* packet = nullptr;
    while (rte_ring_dequeue(worker->to_host, &packet) == 0) {
      counters_.write_failed.Add(1);
      rte_pktmbuf_free(static_cast<Packet*>(packet));
    }
  }
  for (const int descriptor : {epoll_, wake_}) {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
}

Status HostPathThread::Begin() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kWakeKey}};
  if (epoll_ < 0 || wake_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
    return Fail(Errc::kInternal, "host path: {}", strerror(errno));
  }
  // Signals belong to the control thread; a new thread inherits the mask of its maker.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), "penstock-host");
  return {};
}

void HostPathThread::Wake() {
  // Pairs with Run: either this sees that the thread is about to sleep, or the thread sees the
  // packet that was queued before this call.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_relaxed) && sleeping_.exchange(false)) {
    Signal();
  }
}

void HostPathThread::Signal() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
}

Status HostPathThread::Add(uint64_t key, const HostDevice& device) {
  const ControlLock lock(*this);
  if (!devices_.emplace(key, device.descriptor()).second) {
    return Fail(Errc::kAlreadyExists, "host path: {} {} has a device already",
                IsPortKey(key) ? "port" : "tunnel", static_cast<uint32_t>(key));
  }
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = key}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, device.descriptor(), &event) != 0) {
    devices_.erase(key);
    return Fail(Errc::kInternal, "host path: device {}: {}", device.name(), strerror(errno));
  }
  return {};
}

void HostPathThread::Remove(uint64_t key) {
  const ControlLock lock(*this);
  const auto found = devices_.find(key);
  if (found != devices_.end()) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, found->second, nullptr);
    devices_.erase(found);
  }
}

void HostPathThread::Run() {
  epoll_event events[kMaxEvents];
  while (!stop_.load(std::memory_order_relaxed)) {
    while (control_waits_.load()) {
      sched_yield();
    }
    bool more = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      more = DrainWorkers();
    }
    if (!more) {
      sleeping_.store(true, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      more = WorkersQueued();
    }
    const int count = epoll_wait(epoll_, events, kMaxEvents, more ? 0 : -1);
    sleeping_.store(false, std::memory_order_relaxed);
    HandleEvents(events, count);
  }
}

bool HostPathThread::WorkersQueued() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const WorkerContext* worker) {
    return rte_ring_count(worker->to_host) != 0;
  });
}

// One burst of each worker; true when some may be left.
bool HostPathThread::DrainWorkers() {
  bool more = false;
  for (WorkerContext* worker : workers_) {
    void* packets[kBurst];
    const unsigned count = rte_ring_sc_dequeue_burst(worker->to_host, packets, kBurst, nullptr);
    for (unsigned i = 0; i < count; ++i) {
      Write(static_cast<Packet*>(packets[i]));
    }
    more = more || count == kBurst;
  }
  return more;
}

void HostPathThread::Write(Packet* packet) {
  const PacketNotes& notes = NotesOf(packet);
  const bool tunnel = notes.input_tunnel != kNoTunnel;
  const auto found =
      devices_.find(tunnel ? TunnelKey(notes.input_tunnel) : PortKey(notes.input_port));
  if (tunnel) {
    Observe(notes.input_tunnel, false, packet, notes.l3_offset);
  }
  iovec vectors[kMaxSegments];
  const unsigned count = Gather(packet, tunnel ? notes.l3_offset : 0, vectors);
  // A device that is down or whose queue in Linux is full refuses; nobody waits for it.
  if (found != devices_.end() && count != 0 &&
      writev(found->second, vectors, static_cast<int>(count)) > 0) {
    counters_.written.Add(1);
  } else {
    counters_.write_failed.Add(1);
  }
  rte_pktmbuf_free(packet);
}

// bfdd's packets are small: what is not whole in the first segment is none of them.
void HostPathThread::Observe(uint32_t tunnel, bool from_host, const Packet* packet,
                             unsigned offset) {
  if (!observer_ || offset >= packet->data_len) {
    return;
  }
  const std::span<const uint8_t> ip(rte_pktmbuf_mtod_offset(packet, const uint8_t*, offset),
                                    packet->data_len - size_t{offset});
  if (MayBeBfd(ip)) {
    observer_(tunnel, from_host, ip);
  }
}

void HostPathThread::HandleEvents(const epoll_event* events, int count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (int i = 0; i < count; ++i) {
    const uint64_t key = events[i].data.u64;
    if (key == kWakeKey) {
      uint64_t signals = 0;
      [[maybe_unused]] const ssize_t size = read(wake_, &signals, sizeof(signals));
      continue;
    }
    const auto found = devices_.find(key);
    if (found == devices_.end()) {
      continue;  // removed between epoll_wait and here
    }
    if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
      // Somebody deleted the interface: the descriptor stays "ready" for ever.
      epoll_ctl(epoll_, EPOLL_CTL_DEL, found->second, nullptr);
      Log("host").error("the device of {} {} is gone", IsPortKey(key) ? "port" : "tunnel",
                        static_cast<uint32_t>(key));
      continue;
    }
    ReadDevice(key, found->second);
  }
}

void HostPathThread::ReadDevice(uint64_t key, int descriptor) {
  Packet* packets[kReadBatch];
  unsigned count = 0;
  while (count < kReadBatch) {
    if (!buffers_.Fill()) {
      usleep(1000);  // Linux keeps the packets; without this pause epoll would spin
      break;
    }
    Packet* packet = buffers_.Read(descriptor);
    if (packet == nullptr) {
      break;
    }
    PacketNotes& notes = NotesOf(packet);
    memset(&notes, 0, sizeof(notes));
    notes.input_port = kNoPort;
    notes.output_port = IsPortKey(key) ? static_cast<uint16_t>(key) : kNoPort;
    notes.input_tunnel = IsPortKey(key) ? kNoTunnel : static_cast<uint32_t>(key);
    notes.flags = kPacketFromHost;
    if (notes.input_tunnel != kNoTunnel) {
      Observe(notes.input_tunnel, true, packet, 0);
    }
    packets[count++] = packet;
  }
  Hand(key, packets, count);
}

// A device always feeds the same worker, so that its packets stay in order.
void HostPathThread::Hand(uint64_t key, Packet** packets, unsigned count) {
  counters_.read.Add(count);
  WorkerContext& worker = *workers_[static_cast<uint32_t>(key) % workers_.size()];
  const unsigned taken = rte_ring_sp_enqueue_burst(
      worker.from_host, reinterpret_cast<void**>(packets), count, nullptr);
  counters_.ring_full.Add(count - taken);
  for (unsigned i = taken; i < count; ++i) {
    rte_pktmbuf_free(packets[i]);
  }
}

}  // namespace

Result<std::unique_ptr<HostPath>> HostPath::Start(std::vector<WorkerContext*> workers,
                                                  rte_mempool* pool) {
  PENSTOCK_CHECK(!workers.empty() && pool != nullptr);
  auto path = std::make_unique<HostPathThread>(std::move(workers), pool);
  if (Status status = path->Begin(); !status) {
    return tl::unexpected<Error>(status.error());
  }
  return path;
}

}  // namespace penstock
