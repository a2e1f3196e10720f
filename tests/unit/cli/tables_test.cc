#include "dataplane/cli/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(TablesTest, ShowsATunnelsEndsStateAndSpi) {
  control::Tunnels tunnels;
  control::Tunnel* tunnel = tunnels.add_tunnels();
  tunnel->set_name("tun1");
  tunnel->set_state("up");
  tunnel->set_local("192.0.2.1");
  tunnel->set_remote("192.0.2.2");
  tunnel->set_in_bytes(1'234'567'890);
  tunnel->set_current_outbound_spi(0x1001);
  const std::string text = TunnelsText(tunnels, {});
  EXPECT_THAT(text, HasSubstr("tun1    up     192.0.2.1 -> 192.0.2.2"));
  EXPECT_THAT(text, HasSubstr("1.23 G"));
  EXPECT_THAT(text, HasSubstr("0x00001001"));
}

TEST(TablesTest, ShowsReplayCountsOfInboundSasOnly) {
  control::Sas sas;
  sas.add_sas()->set_direction("out");
  sas.mutable_sas(0)->mutable_replay()->set_duplicate_packets(77);
  EXPECT_THAT(SasText(sas, {}), Not(HasSubstr("77")));
  sas.mutable_sas(0)->set_direction("in");
  EXPECT_THAT(SasText(sas, {}), HasSubstr("77"));
}

TEST(TablesTest, TellsTheLimitThatIsNearest) {
  control::Lifetime lifetime;
  EXPECT_EQ(LifeLeftText(lifetime, {}), "-");
  lifetime.set_hard_seconds(3600);
  lifetime.set_hard_left_seconds(1800);
  EXPECT_EQ(LifeLeftText(lifetime, {}), "00:30:00");
  lifetime.set_hard_bytes(1'000'000);
  lifetime.set_hard_left_bytes(100'000);
  EXPECT_EQ(LifeLeftText(lifetime, {}), "100 kB");
  lifetime.set_hard_packets(10);
  lifetime.set_hard_left_packets(0);
  EXPECT_EQ(LifeLeftText(lifetime, {}), "0 packets");
}

TEST(TablesTest, DescribesTheLastDroppedPacketAsFarAsItIsKnown) {
  control::LastDrop last;
  EXPECT_EQ(LastDropText(last), "");
  last.set_spi(0x1001);
  last.set_sequence(5);
  EXPECT_EQ(LastDropText(last), "SPI 0x00001001 sequence 5");
  last.set_source("192.0.2.1");
  last.set_destination("192.0.2.2");
  last.set_protocol(50);
  last.set_port("wan0");
  EXPECT_EQ(LastDropText(last), "192.0.2.1 -> 192.0.2.2 esp SPI 0x00001001 sequence 5 port wan0");
}

TEST(TablesTest, PrintsASelectorsPortsOnlyWhereItHasSome) {
  control::Selector selector;
  selector.set_source("10.1.0.0/16");
  selector.set_destination("10.2.0.0/16");
  selector.set_source_port_last(65'535);
  EXPECT_EQ(SelectorText(selector), "10.1.0.0/16 -> 10.2.0.0/16");
  selector.set_protocol(6);
  selector.set_destination_port_first(80);
  selector.set_destination_port_last(90);
  EXPECT_EQ(SelectorText(selector), "10.1.0.0/16 -> 10.2.0.0/16 ports 80-90 tcp");
}

TEST(TablesTest, SaysWhenPacketsAreMissingFromTheCounters) {
  control::Counters counters;
  EXPECT_THAT(CountersText(counters, {}), HasSubstr("every packet is accounted for"));
  counters.set_difference_packets(-3);
  EXPECT_THAT(CountersText(counters, {}), HasSubstr("-3 (0 at rest)"));
}

TEST(TablesTest, MarksTheMemberThatALookupTakes) {
  control::LookupResult result;
  result.set_destination("10.2.0.1");
  result.set_prefix("10.2.0.0/16");
  result.mutable_next_hop()->set_tunnel("tun2");
  result.mutable_group()->set_buckets(64);
  for (const char* name : {"tun1", "tun2"}) {
    control::GroupMember* member = result.mutable_group()->add_members();
    member->mutable_next_hop()->set_tunnel(name);
    member->mutable_next_hop()->set_alive(true);
    member->set_buckets(32);
  }
  const std::string text = LookupText(result, {});
  EXPECT_THAT(text, HasSubstr("tunnel tun2: 32 of 64 buckets  <- taken"));
  EXPECT_THAT(text, HasSubstr("tunnel tun1: 32 of 64 buckets\n"));
}

TEST(TablesTest, SaysSoWhenThereIsNothing) {
  EXPECT_EQ(TunnelsText({}, {}), "no tunnels\n");
  EXPECT_EQ(DropsText({}, {}), "no packet was dropped\n");
}

}  // namespace
}  // namespace penstock::cli
