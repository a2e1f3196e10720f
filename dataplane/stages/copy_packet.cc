#include "dataplane/stages/copy_packet.h"

#include <rte_ip.h>

#include <algorithm>

namespace penstock {

rte_mempool* PoolFor(const WorkerContext& worker, unsigned bytes) {
  if (bytes <= rte_pktmbuf_data_room_size(worker.pool)) {
    return worker.pool;
  }
  if (worker.jumbo_pool != nullptr && bytes <= rte_pktmbuf_data_room_size(worker.jumbo_pool)) {
    return worker.jumbo_pool;
  }
  return nullptr;
}

Packet* NewPacket(WorkerContext& worker, unsigned headroom, unsigned length, unsigned tailroom,
                  DropReason& why) {
  rte_mempool* pool = PoolFor(worker, headroom + length + tailroom);
  if (pool == nullptr) {
    why = DropReason::kNoHeadroom;
    return nullptr;
  }
  Packet* packet = rte_pktmbuf_alloc(pool);
  if (packet == nullptr) {
    why = DropReason::kNoBuffer;
    return nullptr;
  }
  // The usual headroom where the buffer has it: a later stage may put a longer header in front.
  const unsigned spare = packet->buf_len - length - tailroom;
  packet->data_off = static_cast<uint16_t>(std::clamp(kHeadroom, headroom, spare));
  packet->data_len = static_cast<uint16_t>(length);
  packet->pkt_len = length;
  NotesOf(packet) = PacketNotes{};
  return packet;
}

uint16_t FinishChecksum(uint32_t sum) {
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void SetIpv4Checksum(void* header, unsigned header_length) {
  auto& ip = *static_cast<Ipv4Header*>(header);
  ip.checksum = Be16::FromRaw(0);
  ip.checksum = Be16::FromRaw(FinishChecksum(rte_raw_cksum(header, header_length)));
}

}  // namespace penstock
