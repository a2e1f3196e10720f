#include "dataplane/control/sas.h"

#include <rte_cycles.h>

#include "tests/unit/control/model_fixture.h"

namespace penstock {
namespace {

using SasTest = ModelTest;

TEST_F(SasTest, AnOutboundSaBringsItsTunnelUpAndItsRemovalTakesItDown) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  EXPECT_EQ(CurrentSpi(red_), 0x1001u);
  EXPECT_TRUE(model_->tunnels.Find(red_)->up);
  EXPECT_TRUE(tables_.next_hops.alive(model_->tunnels.Find(red_)->next_hop));
  EXPECT_FALSE(model_->tunnels.Find(blue_)->up);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1001)));
  EXPECT_EQ(Current(red_), nullptr);
  EXPECT_FALSE(tables_.next_hops.alive(model_->tunnels.Find(red_)->next_hop));
}

TEST_F(SasTest, TheNewestOutboundSaSendsAndTheOneBeforeTakesOverWhenItGoes) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1002, 1)));
  EXPECT_EQ(CurrentSpi(red_), 0x1002u);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1002)));
  EXPECT_EQ(CurrentSpi(red_), 0x1001u);
  EXPECT_TRUE(model_->tunnels.Find(red_)->up);
}

TEST_F(SasTest, RemovingAnOlderOutboundSaLeavesTheCurrentOne) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1002, 1)));
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1001)));
  EXPECT_EQ(CurrentSpi(red_), 0x1002u);
}

TEST_F(SasTest, ManyInboundSasLiveBelowOneTunnel) {
  for (uint32_t spi = 0x2000; spi < 0x2008; ++spi) {
    ASSERT_TRUE(model_->ike.AddSa(Sa(true, spi, 1)));
  }
  EXPECT_EQ(model_->tunnels.Find(red_)->inbound.size(), 8u);
  for (uint32_t spi = 0x2000; spi < 0x2008; ++spi) {
    ASSERT_NE(tables_.sad.Find(Be32::FromHost(spi)), nullptr);
    EXPECT_EQ(tables_.sad.Find(Be32::FromHost(spi))->tunnel, red_);
  }
}

TEST_F(SasTest, AReservedSpiIsCompletedOnceAndOnlyByUpdate) {
  const Result<uint32_t> spi = model_->ike.GetSpi({});
  ASSERT_TRUE(spi);
  EXPECT_FALSE(model_->ike.AddSa(Sa(true, *spi, 1)));
  ike::AddSa sa = Sa(true, *spi, 1);
  sa.update = true;
  ASSERT_TRUE(model_->ike.AddSa(std::move(sa)));
  ike::AddSa again = Sa(true, *spi, 1);
  again.update = true;
  EXPECT_FALSE(model_->ike.AddSa(std::move(again)));
}

TEST_F(SasTest, DeletingAReservedSpiGivesItBack) {
  const Result<uint32_t> spi = model_->ike.GetSpi({});
  ASSERT_TRUE(spi);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(true, *spi)));
  EXPECT_FALSE(tables_.sad.IsReserved(*spi));
  EXPECT_FALSE(model_->ike.DeleteSa(Id(true, *spi)));
}

TEST_F(SasTest, AnSaForAnUnknownIfIdIsRefusedByItsNumber) {
  const Status added = model_->ike.AddSa(Sa(false, 0x1001, 77));
  ASSERT_FALSE(added);
  EXPECT_NE(added.error().message.find("77"), std::string::npos);
}

TEST_F(SasTest, AFailedAddChangesNothing) {
  ike::AddSa sa = Sa(true, 0x2001, 1);
  sa.encryption_key = Secret(std::string_view("short"));
  EXPECT_FALSE(model_->ike.AddSa(std::move(sa)));
  EXPECT_TRUE(model_->tunnels.Find(red_)->inbound.empty());
  EXPECT_TRUE(model_->ike.AddSa(Sa(true, 0x2001, 1)));
}

TEST_F(SasTest, PolicyBasedSasMakeATunnelEntryThatGoesWithTheLastOfThem) {
  ike::AddSa out = Sa(false, 0x1001, 0);
  out.reqid = 9;
  ike::AddSa in = Sa(true, 0x2001, 0);
  in.reqid = 9;
  ASSERT_TRUE(model_->ike.AddSa(std::move(out)));
  ASSERT_TRUE(model_->ike.AddSa(std::move(in)));
  const uint32_t tunnel = tables_.tunnels.FindByReqid(9);
  ASSERT_NE(tunnel, kNoTunnel);
  EXPECT_EQ(CurrentSpi(tunnel), 0x1001u);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(false, 0x1001)));
  EXPECT_NE(tables_.tunnels.FindByReqid(9), kNoTunnel);
  ASSERT_TRUE(model_->ike.DeleteSa(Id(true, 0x2001)));
  EXPECT_EQ(tables_.tunnels.FindByReqid(9), kNoTunnel);
}

TEST_F(SasTest, MovingAnOutboundSaKeepsItsKeyAndNeverRepeatsASequenceNumber) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  OutboundSa* old = Current(red_);
  const CryptoKey* key = old->crypto_key;
  const uint64_t iv_base = old->iv_base;
  const uint64_t last = old->sequence.Claim(100).first + 99;
  ike::UpdateSa update;
  update.id = Id(false, 0x1001);
  update.new_source = Address("192.0.2.1");
  update.new_destination = Address("192.0.2.77");
  update.udp_encapsulation = true;
  update.new_source_port = 4500;
  update.new_destination_port = 61000;
  ASSERT_TRUE(model_->ike.UpdateSa(update));
  OutboundSa* moved = Current(red_);
  ASSERT_NE(moved, old);
  EXPECT_EQ(moved->crypto_key, key);
  EXPECT_EQ(moved->iv_base, iv_base);
  EXPECT_EQ(moved->header_length, 20 + 8 + 8);
  // A worker that still holds the old one may claim one more burst.
  const SequenceBlock late = old->sequence.Claim(kBurst);
  const SequenceBlock first = moved->sequence.Claim(1);
  EXPECT_GT(first.first, last);
  EXPECT_GE(first.first, late.first + late.count);
  EXPECT_FALSE(model_->ike.QuerySa(Id(false, 0x1001)));
  ike::SaId now = Id(false, 0x1001);
  now.destination = Address("192.0.2.77");
  EXPECT_TRUE(model_->ike.QuerySa(now));
}

TEST_F(SasTest, MovingAnInboundSaChangesWhatWorkersCompareWith) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(true, 0x2001, 1)));
  ike::UpdateSa update;
  update.id = Id(true, 0x2001);
  update.new_source = Address("198.51.100.7");
  update.new_destination = Address("192.0.2.1");
  ASSERT_TRUE(model_->ike.UpdateSa(update));
  const InboundSa* sa = tables_.sad.FindForControl(0x2001);
  EXPECT_EQ(IpAddress::V4(sa->peer), Address("198.51.100.7"));
  EXPECT_EQ(sa->replay.size(), 64u);
}

TEST_F(SasTest, LifetimesByTimeWarnFirstAndThenStopTheSa) {
  ike::AddSa sa = Sa(false, 0x1001, 1);
  sa.lifetime.soft_seconds = 10;
  sa.lifetime.hard_seconds = 20;
  ASSERT_TRUE(model_->ike.AddSa(std::move(sa)));
  clock_.Advance(std::chrono::seconds(9));
  model_->Tick();
  EXPECT_TRUE(events_.expires.empty());
  clock_.Advance(std::chrono::seconds(1));
  model_->Tick();
  ASSERT_EQ(events_.expires.size(), 1u);
  EXPECT_FALSE(events_.expires[0].hard);
  EXPECT_EQ(Current(red_)->dead.load(), 0);
  clock_.Advance(std::chrono::seconds(10));
  model_->Tick();
  ASSERT_EQ(events_.expires.size(), 2u);
  EXPECT_TRUE(events_.expires[1].hard);
  EXPECT_EQ(Current(red_)->dead.load(), 1);
  EXPECT_FALSE(model_->tunnels.Find(red_)->up);
}

TEST_F(SasTest, AnotherLiveSaTakesOverFromAnExpiredOne) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  ike::AddSa newer = Sa(false, 0x1002, 1);
  newer.lifetime.hard_seconds = 5;
  ASSERT_TRUE(model_->ike.AddSa(std::move(newer)));
  clock_.Advance(std::chrono::seconds(5));
  model_->Tick();
  EXPECT_EQ(CurrentSpi(red_), 0x1001u);
  EXPECT_TRUE(model_->tunnels.Find(red_)->up);
}

TEST_F(SasTest, WhatAWorkerSaysOfALimitIsToldOnce) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  WorkerEvent event{};
  event.kind = WorkerEvent::Kind::kSequenceExhausted;
  event.slot = Current(red_)->slot;
  Current(red_)->dead.store(1);  // the worker stopped it first
  worker_->PushEvent(event);
  worker_->PushEvent(event);
  model_->DrainEvents();
  ASSERT_EQ(events_.expires.size(), 1u);
  EXPECT_TRUE(events_.expires[0].hard);
  EXPECT_EQ(events_.expires[0].reason, ike::ExpireReason::kSequence);
  EXPECT_EQ(events_.expires[0].id.spi, 0x1001u);
  EXPECT_FALSE(model_->tunnels.Find(red_)->up);
}

TEST_F(SasTest, UsageIsSummedAndForgottenWithTheSa) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(true, 0x2001, 1)));
  const uint32_t slot = tables_.sad.FindForControl(0x2001)->slot;
  worker_->counters.sas[slot].packets.Add(3);
  worker_->counters.sas[slot].bytes.Add(300);
  worker_->counters.sas[slot].last_used.Set(rte_rdtsc());
  const Result<ike::Usage> usage = model_->ike.QuerySa(Id(true, 0x2001));
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->packets, 3u);
  EXPECT_EQ(usage->bytes, 300u);
  EXPECT_LT(SystemClock().Now() - usage->last_use, std::chrono::seconds(5));
  ASSERT_TRUE(model_->ike.DeleteSa(Id(true, 0x2001)));
  epoch_.Synchronize();
  EXPECT_EQ(worker_->counters.sas[slot].packets.Read(), 0u);
}

TEST_F(SasTest, AMappingChangeIsToldWithTheSaItConcerns) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(true, 0x2001, 1)));
  WorkerEvent event{};
  event.kind = WorkerEvent::Kind::kMappingChanged;
  event.slot = tables_.sad.FindForControl(0x2001)->slot;
  event.address = Address("203.0.113.5");
  event.port = 61001;
  worker_->PushEvent(event);
  model_->DrainEvents();
  ASSERT_EQ(events_.mappings.size(), 1u);
  EXPECT_EQ(events_.mappings[0].id.spi, 0x2001u);
  EXPECT_EQ(events_.mappings[0].new_port, 61001);
}

TEST_F(SasTest, AnAcquireNamesTheTunnelAndPendsAsLongAsThoseOfLinux) {
  WorkerEvent event{};
  event.kind = WorkerEvent::Kind::kAcquire;
  event.tunnel = red_;
  event.address = Address("10.1.0.2");
  event.destination = Address("10.2.0.2");
  event.protocol = 17;
  event.destination_port = 53;
  for (int i = 0; i < 3; ++i) {
    worker_->PushEvent(event);
  }
  model_->DrainEvents();
  ASSERT_EQ(events_.acquires.size(), 1u);
  EXPECT_EQ(events_.acquires[0].if_id, 1u);
  EXPECT_EQ(events_.acquires[0].packet_destination.port_first, 53);
  clock_.Advance(std::chrono::seconds(164));
  worker_->PushEvent(event);
  model_->DrainEvents();
  EXPECT_EQ(events_.acquires.size(), 1u);
  clock_.Advance(std::chrono::seconds(1));
  worker_->PushEvent(event);
  model_->DrainEvents();
  EXPECT_EQ(events_.acquires.size(), 2u);
}

TEST_F(SasTest, FlushTakesIkesSasAndLeavesThoseMadeByHand) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  SaConfig config;
  config.spi = 0x1002;
  config.suite = FindSuite("aes-gcm-16-128").value();
  config.cipher_key = Secret(std::string_view("twenty bytes of key!"));
  config.source = Address("192.0.2.1");
  config.destination = Address("192.0.2.2");
  ASSERT_TRUE(model_->sas.Add(std::move(config), blue_, Origin::kControl));
  ASSERT_TRUE(model_->ike.FlushSas());
  EXPECT_EQ(Current(red_), nullptr);
  EXPECT_EQ(CurrentSpi(blue_), 0x1002u);
}

TEST_F(SasTest, TheOuterWayFollowsRoutesAndNeverLeadsIntoATunnel) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  const auto outer = [&] { return tables_.next_hops[Current(red_)->outer_next_hop.load()]; };
  EXPECT_EQ(outer().kind, NextHopKind::kForward);
  EXPECT_EQ(outer().port, 0);
  ASSERT_TRUE(Route("192.0.2.2/32", RouteSource::kStatic, "", "10.1.0.9"));
  EXPECT_EQ(outer().port, 1);
  ASSERT_TRUE(Route("192.0.2.2/32", RouteSource::kStatic, "blue"));
  EXPECT_EQ(Current(red_)->outer_next_hop.load(), kNextHopNoRoute);
  EXPECT_NE(model_->tunnels.StateOf(*model_->tunnels.Find(red_)).find("192.0.2.2"),
            std::string::npos);
  ASSERT_TRUE(model_->routes.Remove(Net("192.0.2.2/32"), RouteSource::kStatic));
  model_->Settle();
  EXPECT_EQ(outer().port, 0);
}

TEST_F(SasTest, ThePeerMayLieInAProtectedPrefix) {
  model_->SetProtected({Net("0.0.0.0/0")});
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  EXPECT_EQ(tables_.next_hops[Current(red_)->outer_next_hop.load()].kind, NextHopKind::kForward);
  EXPECT_EQ(KindOf("192.0.2.2"), NextHopKind::kProtected);
}

TEST_F(SasTest, TheTunnelsMtuIsThatOfItsSuiteOnThePath) {
  ASSERT_TRUE(model_->ike.AddSa(Sa(false, 0x1001, 1)));
  EXPECT_EQ(tables_.tunnels[red_].mtu.load(), 1446);
  EXPECT_EQ(tables_.tunnels[red_].mss_v4.load(), 1406);
  model_->sas.SetPortMtu(0, 9000);
  model_->sas.RefreshOuter();
  EXPECT_GT(tables_.tunnels[red_].mtu.load(), 8900);
}

}  // namespace
}  // namespace penstock
