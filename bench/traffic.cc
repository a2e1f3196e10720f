#include "bench/traffic.h"

#include <rte_ip.h>

#include <algorithm>
#include <random>

#include "bench/site.h"

namespace penstock {
namespace {

constexpr uint8_t kHopLimit = 64;

void PutUdp(uint8_t* udp, uint32_t flow, unsigned length) {
  UdpHeader header{};
  header.source = Be16::FromHost(static_cast<uint16_t>(1024 + flow % 60000));
  header.destination = Be16::FromHost(static_cast<uint16_t>(20000 + flow / 60000));
  header.length = Be16::FromHost(static_cast<uint16_t>(length));
  memcpy(udp, &header, sizeof(header));
}

void PutIpv4(uint8_t* ip, uint32_t flow, uint32_t route, unsigned length) {
  Ipv4Header header{};
  header.version_ihl = 0x45;
  header.total_length = Be16::FromHost(static_cast<uint16_t>(length));
  header.identification = Be16::FromHost(static_cast<uint16_t>(flow));
  header.ttl = kHopLimit;
  header.protocol = kProtocolUdp;
  header.source = Be32::FromHost(0x0a010000 + (flow & 0xffff));
  const uint32_t network = RoutePrefix(false, route).address().ToV4HostOrder();
  header.destination = Be32::FromHost(network + 1 + flow % 250);
  memcpy(ip, &header, sizeof(header));
  const uint16_t checksum = rte_ipv4_cksum(reinterpret_cast<const rte_ipv4_hdr*>(ip));
  memcpy(ip + offsetof(Ipv4Header, checksum), &checksum, sizeof(checksum));
  PutUdp(ip + sizeof(header), flow, length - static_cast<unsigned>(sizeof(header)));
}

void PutIpv6(uint8_t* ip, uint32_t flow, uint32_t route, unsigned length) {
  Ipv6Header header{};
  header.version_class_flow = Be32::FromHost(6u << 28);
  header.payload_length = Be16::FromHost(static_cast<uint16_t>(length - sizeof(header)));
  header.next_header = kProtocolUdp;
  header.hop_limit = kHopLimit;
  memcpy(header.destination, RoutePrefix(true, route).address().data(), 16);
  header.destination[15] = static_cast<uint8_t>(1 + flow % 250);
  memcpy(header.source, RoutePrefix(true, 1u << 30).address().data(), 16);
  header.source[14] = static_cast<uint8_t>(flow >> 8);
  header.source[15] = static_cast<uint8_t>(flow);
  memcpy(ip, &header, sizeof(header));
  PutUdp(ip + sizeof(header), flow, length - static_cast<unsigned>(sizeof(header)));
}

}  // namespace

Traffic::Traffic(const BenchOptions& options, unsigned frame)
    : headers_(options.flows), frame_(frame), header_length_(std::min(kHeader, frame)) {
  for (uint32_t flow = 0; flow < options.flows; ++flow) {
    uint8_t* bytes = headers_[flow].data();
    std::ranges::copy(kStationMac, bytes);
    std::ranges::copy(kSourceMac, bytes + 6);
    const Be16 type = Be16::FromHost(options.inner_v6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
    memcpy(bytes + 12, &type, sizeof(type));
    const unsigned length = frame - static_cast<unsigned>(sizeof(EthernetHeader));
    const uint32_t route = flow % options.routes;
    (options.inner_v6 ? PutIpv6 : PutIpv4)(bytes + sizeof(EthernetHeader), flow, route, length);
  }
  // Neighbours in a burst shall have nothing to do with each other, and tables shall not be walked
  // in an order that a prefetcher can guess. The seed makes every run the same.
  std::mt19937 random(1);
  std::ranges::shuffle(headers_, random);
}

void Traffic::Restore(Packet* packet, uint64_t index) const {
  packet->data_off = kHeadroom;
  packet->data_len = static_cast<uint16_t>(frame_);
  packet->pkt_len = frame_;
  memcpy(DataAt(packet), headers_[index % headers_.size()].data(), header_length_);
}

}  // namespace penstock
