#include <rte_ring.h>

#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

class PuntTest : public SlowPathTest {
 protected:
  void Punt(std::initializer_list<Packet*> packets) {
    for (Packet* packet : packets) {
      context_->punt.Push(packet);
    }
    RunPunt(*context_);
    EXPECT_TRUE(context_->punt.empty());
    ExpectBalance();
  }
  unsigned queued() const { return rte_ring_count(worker_.to_host); }
  Packet* Ping() { return Frame(MakeIp({.protocol = 1}, Bytes{8, 0} + Random(30, 1))); }
  Packet* Udp(unsigned source, unsigned destination) {
    return Frame(MakeIp({}, Words({source, destination, 16, 0, 0, 0, 0, 0})));
  }
  Packet* Tcp(unsigned source, unsigned destination) {
    return Frame(MakeIp({.protocol = kProtocolTcp},
                        Words({source, destination, 0, 0, 0, 0, 0x5000, 0, 0, 0})));
  }
  Packet* Arp() {
    Packet* packet = FromBytes(Bytes(12, 0xff) + Words({kEtherTypeArp}) + Bytes(46, 0), 0);
    NotesOf(packet).input_port = 0;
    return packet;
  }
  Packet* Neighbor(uint8_t type, uint8_t hop_limit) {
    return Frame(
        MakeIp({.source = "fe80::1", .destination = "fe80::2", .protocol = 58, .ttl = hop_limit},
               Bytes{type, 0} + Bytes(22, 0)));
  }
  void Flood(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      Punt({Ping()});
    }
  }
};

TEST_F(PuntTest, PacketsGoToTheHostPathAsTheyAreAndAreCounted) {
  const Bytes ip = MakeIp({}, Random(32, 1));
  Packet* frame = Frame(ip);
  Packet* inner = Inner(ip, 9);
  tables_.tunnels[9].has_device = 1;
  Punt({frame, inner});
  EXPECT_TRUE(context_->wake_host);
  EXPECT_EQ(worker_.counters.to_host.Read(), 2u);
  EXPECT_EQ(worker_.counters.ports[0].punted_packets.Read(), 1u);
  EXPECT_EQ(worker_.counters.tunnels[9].punted_packets.Read(), 1u);
  void* first = nullptr;
  ASSERT_EQ(rte_ring_dequeue(worker_.to_host, &first), 0);
  EXPECT_EQ(first, frame);
  EXPECT_EQ(Word(BytesOf(frame), 12), 0x0800);
  rte_pktmbuf_free(frame);
}

TEST_F(PuntTest, NothingToDoWakesNobody) {
  Punt({});
  EXPECT_FALSE(context_->wake_host);
}

TEST_F(PuntTest, APacketWithoutADeviceIsDropped) {
  Packet* packet = Ping();
  NotesOf(packet).input_port = kNoPort;
  Punt({packet});
  EXPECT_EQ(drops(DropReason::kHostWriteFailed), 1u);
  EXPECT_EQ(queued(), 0u);
}

TEST_F(PuntTest, ControlTrafficPassesWhileAFloodIsPoliced) {
  worker_.punt_bucket = TokenBucket(100, 10, worker_.hertz);
  Flood(50);
  EXPECT_EQ(queued(), 10u);
  EXPECT_EQ(drops(DropReason::kPuntPoliced), 40u);
  Punt({Udp(500, 500), Udp(4500, 4500), Udp(50000, 3784), Udp(50000, 3785), Udp(50000, 4784),
        Tcp(179, 40000), Tcp(40000, 179), Arp(), Neighbor(133, 255), Neighbor(135, 255),
        Neighbor(136, 255), Neighbor(137, 255)});
  EXPECT_EQ(queued(), 22u);
  EXPECT_EQ(drops(DropReason::kPuntPoliced), 40u);
}

TEST_F(PuntTest, WhatOnlyLooksLikeControlTrafficIsPoliced) {
  worker_.punt_bucket = TokenBucket(100, 0, worker_.hertz);
  Packet* fragment = Udp(500, 500);
  NotesOf(fragment).flags |= kPacketFragment;
  Packet* inner_without_version = Inner(MakeIp({}, Random(32, 1)), 9);
  NotesOf(inner_without_version).version = 0;
  Packet* cut = Udp(500, 500);
  rte_pktmbuf_trim(cut, static_cast<uint16_t>(cut->pkt_len - NotesOf(cut).l4_offset - 3u));
  Packet* other_frame = FromBytes(Bytes(12, 0) + Words({0x88cc}) + Bytes(46, 0), 0);
  Packet* short_frame = FromBytes(Bytes(13, 8), 0);
  Punt({Udp(500, 53), Tcp(40000, 22), Neighbor(135, 254), Neighbor(128, 255), fragment,
        inner_without_version, cut, other_frame, short_frame});
  EXPECT_EQ(queued(), 0u);
  EXPECT_EQ(drops(DropReason::kPuntPoliced), 9u);
}

TEST_F(PuntTest, AFloodOfIkeIsPolicedByItsOwnBucket) {
  tables_.settings.punt_packets_per_second = 100;
  for (unsigned i = 0; i < 1500; ++i) {
    Punt({Udp(500, 500)});
    void* packet = nullptr;
    if (rte_ring_dequeue(worker_.to_host, &packet) == 0) {
      rte_pktmbuf_free(static_cast<Packet*>(packet));
    }
  }
  EXPECT_EQ(worker_.counters.to_host.Read(), 1024u);
  EXPECT_EQ(drops(DropReason::kPuntPoliced), 476u);
  Punt({Ping(), Tcp(179, 40000), Udp(50000, 3784)});  // forged IKE costs no other session
  EXPECT_EQ(worker_.counters.to_host.Read(), 1027u);
}

TEST_F(PuntTest, PrivatePortsOfIkeAreItsOwnToo) {
  tables_.settings.ike_ports[1] = 1500;
  tables_.settings.encapsulation_ports[1] = 14500;
  worker_.punt_bucket = TokenBucket(100, 0, worker_.hertz);
  Punt({Udp(40000, 1500), Udp(40000, 14500), Udp(40000, 1501)});
  EXPECT_EQ(queued(), 2u);
  EXPECT_EQ(drops(DropReason::kPuntPoliced), 1u);
}

TEST_F(PuntTest, WhatAPolicyBasedTunnelBringsIsShownByThePort) {
  tables_.tunnels[9].has_device = 0;
  const Bytes ip = MakeIp({}, Random(32, 1));
  Packet* packet = Frame(ip);
  NotesOf(packet).input_tunnel = 9;
  Punt({packet});
  EXPECT_EQ(worker_.counters.ports[0].punted_packets.Read(), 1u);
  EXPECT_EQ(NotesOf(packet).input_tunnel, kNoTunnel);
  EXPECT_EQ(IpOf(packet), ip);
  EXPECT_EQ(NotesOf(packet).l3_offset, 14);
  EXPECT_EQ(Word(BytesOf(packet), 12), 0x0800);
}

TEST_F(PuntTest, APartOfTheQueueIsKeptForControlTraffic) {
  const unsigned capacity = rte_ring_get_capacity(worker_.to_host);
  Flood(capacity);
  EXPECT_EQ(queued(), capacity - capacity / 4);
  EXPECT_EQ(drops(DropReason::kPuntQueueFull), capacity / 4);
  for (unsigned i = 0; i < capacity; ++i) {
    Punt({Udp(500, 500)});
  }
  EXPECT_EQ(queued(), capacity - capacity / 8);
  for (unsigned i = 0; i < capacity; ++i) {
    Punt({Tcp(40000, 179)});
  }
  EXPECT_EQ(queued(), capacity);
  EXPECT_EQ(worker_.counters.to_host.Read(), capacity);
  EXPECT_EQ(worker_.counters.ports[0].punted_packets.Read(), capacity);
}

}  // namespace
}  // namespace penstock
