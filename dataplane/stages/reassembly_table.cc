#include "dataplane/stages/reassembly_table.h"

#include <rte_jhash.h>
#include <rte_random.h>

#include <bit>
#include <utility>

namespace penstock {
namespace {

// Buffers that reassembly may hold, so that a flood of fragments cannot empty the pool.
constexpr unsigned kFragmentsPerDatagram = 4;

}  // namespace

Reassembly::Reassembly(const GatewaySettings& settings, uint64_t hertz)
    : timeout(hertz / 1000 * settings.reassembly_milliseconds),
      seed(static_cast<uint32_t>(rte_rand())),
      held_limit(settings.reassembly_datagrams * kFragmentsPerDatagram),
      datagrams(settings.reassembly_datagrams),
      buckets(std::bit_ceil<size_t>(settings.reassembly_datagrams * size_t{2} + 1), kNoDatagram) {
  for (uint32_t i = 0; i < datagrams.size(); ++i) {
    datagrams[i].next_in_bucket = first_free;
    first_free = i;
  }
}

uint32_t& Reassembly::Bucket(const FragmentKey& key) {
  return buckets[rte_jhash(&key, sizeof(key), seed) & (buckets.size() - 1)];
}

uint32_t Reassembly::Find(const FragmentKey& key) {
  uint32_t index = Bucket(key);
  while (index != kNoDatagram && !(datagrams[index].key == key)) {
    index = datagrams[index].next_in_bucket;
  }
  return index;
}

uint32_t Reassembly::Add(const FragmentKey& key, uint64_t now) {
  const uint32_t index = first_free;
  if (index == kNoDatagram) {
    return kNoDatagram;
  }
  Datagram& datagram = datagrams[index];
  first_free = datagram.next_in_bucket;
  datagram.key = key;
  datagram.deadline = now + timeout;
  datagram.total = datagram.received = 0;
  datagram.count = datagram.ecn_seen = 0;
  datagram.refused = false;
  datagram.next_in_bucket = std::exchange(Bucket(key), index);
  datagram.newer = kNoDatagram;
  datagram.older = std::exchange(newest, index);
  (datagram.older == kNoDatagram ? oldest : datagrams[datagram.older].newer) = index;
  return index;
}

void Reassembly::Remove(uint32_t index) {
  Datagram& datagram = datagrams[index];
  uint32_t* link = &Bucket(datagram.key);
  while (*link != index) {
    link = &datagrams[*link].next_in_bucket;
  }
  *link = datagram.next_in_bucket;
  (datagram.older == kNoDatagram ? oldest : datagrams[datagram.older].newer) = datagram.newer;
  (datagram.newer == kNoDatagram ? newest : datagrams[datagram.newer].older) = datagram.older;
  datagram.next_in_bucket = std::exchange(first_free, index);
}

}  // namespace penstock
