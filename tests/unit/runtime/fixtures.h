// What the tests of this folder share: pools, frames, and interfaces in a network namespace.
#pragma once

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dataplane/packet/packet.h"
#include "dataplane/runtime/port.h"
#include "dataplane/runtime/worker.h"

namespace penstock {

class Pool {
 public:
  explicit Pool(unsigned packets = 2047, unsigned data_size = 2048) {
    static int number = 0;
    const Result<rte_mempool*> pool =
        MakePacketPool("test_pool_" + std::to_string(number++), packets, data_size, SOCKET_ID_ANY);
    EXPECT_TRUE(pool) << pool.error().message;
    pool_ = pool ? *pool : nullptr;
  }
  ~Pool() { rte_mempool_free(pool_); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  rte_mempool* get() const { return pool_; }
  unsigned in_use() const { return rte_mempool_in_use_count(pool_); }

  // A packet of these bytes, cut into segments of at most `segment` bytes.
  Packet* Make(const std::vector<uint8_t>& bytes, size_t segment = 65535) const {
    Packet* head = rte_pktmbuf_alloc(pool_);
    memset(&NotesOf(head), 0, sizeof(PacketNotes));
    for (size_t at = 0; at < bytes.size(); at += segment) {
      const size_t size = std::min(segment, bytes.size() - at);
      Packet* part = at == 0 ? head : rte_pktmbuf_alloc(pool_);
      memcpy(rte_pktmbuf_append(part, static_cast<uint16_t>(size)), bytes.data() + at, size);
      if (at != 0) {
        EXPECT_EQ(rte_pktmbuf_chain(head, part), 0);
      }
    }
    return head;
  }

 private:
  rte_mempool* pool_;
};

inline std::vector<uint8_t> BytesOf(const Packet* packet) {
  std::vector<uint8_t> bytes;
  for (const Packet* part = packet; part != nullptr; part = part->next) {
    const auto* data = rte_pktmbuf_mtod(part, const uint8_t*);
    bytes.insert(bytes.end(), data, data + part->data_len);
  }
  return bytes;
}

// An Ethernet frame with an IPv4 packet from 192.0.2.1 to 198.51.100.2 of the given protocol.
inline std::vector<uint8_t> Ipv4Frame(uint8_t protocol, size_t payload) {
  std::vector<uint8_t> frame(14 + 20 + payload, 0);
  frame[0] = 0x02;
  frame[6] = 0x02;
  frame[12] = 0x08;
  const auto length = static_cast<uint16_t>(20 + payload);
  const uint8_t ip[20] = {0x45,
                          0,
                          static_cast<uint8_t>(length >> 8),
                          static_cast<uint8_t>(length),
                          0,
                          0,
                          0,
                          0,
                          64,
                          protocol,
                          0,
                          0,
                          192,
                          0,
                          2,
                          1,
                          198,
                          51,
                          100,
                          2};
  std::copy(std::begin(ip), std::end(ip), frame.begin() + 14);
  return frame;
}

// Polls `condition` until it holds or ten seconds have passed.
template <typename Condition>
bool Eventually(Condition condition) {
  const uint64_t deadline = rte_get_tsc_cycles() + 10 * rte_get_tsc_hz();
  while (!condition()) {
    if (rte_get_tsc_cycles() > deadline) {
      return false;
    }
    sched_yield();
  }
  return true;
}

inline bool HaveNamespace() { return getenv("PENSTOCK_TEST_NAMESPACE") != nullptr; }
inline int Shell(const std::string& command) { return system((command + " 2>/dev/null").c_str()); }

}  // namespace penstock

#define SKIP_WITHOUT_NAMESPACE()                                             \
  if (!penstock::HaveNamespace()) {                                          \
    GTEST_SKIP() << "needs root, to make interfaces in a network namespace"; \
  }
