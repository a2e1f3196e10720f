// The model over real tables, without ports, devices and workers' threads; time is the test's.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/control/model.h"
#include "dataplane/crypto/engine.h"

namespace penstock {

inline IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }
inline Prefix Net(const std::string& text) { return Prefix::Parse(text).value(); }

struct RecordedEvents : SaEvents {
  void OnExpire(const ike::Expire& event) override { expires.push_back(event); }
  bool OnAcquire(const ike::Acquire& event) override {
    acquires.push_back(event);
    return heard;
  }
  void OnMappingChanged(const ike::MappingChanged& event) override { mappings.push_back(event); }
  bool heard = true;  // somebody has subscribed
  std::vector<ike::Expire> expires;
  std::vector<ike::Acquire> acquires;
  std::vector<ike::MappingChanged> mappings;
};

// Ports 0 (192.0.2.1/24) and 1 (10.1.0.1/24), tunnels red (if_id 1) and blue (if_id 2).
class ModelTest : public ::testing::Test {
 protected:
  ModelTest()
      : engine_(MakeEngine(EngineChoice::kOpenssl).value()),
        worker_(std::make_unique<WorkerContext>()),
        tables_(epoch_) {
    EXPECT_TRUE(MakeWorkerRings(*worker_, 64, 64, SOCKET_ID_ANY));
    ModelOptions options;
    options.events = [this](const GatewayEvent& event) { kinds_.push_back(event.kind); };
    model_ = std::make_unique<Model>(tables_, *engine_, clock_,
                                     std::vector<WorkerContext*>{worker_.get()}, options);
    model_->SetListener(&events_);
    model_->addresses.Add({0, kNoTunnel}, InterfaceAddress::Parse("192.0.2.1/24").value());
    model_->addresses.Add({1, kNoTunnel}, InterfaceAddress::Parse("10.1.0.1/24").value());
    red_ = AddTunnel("red", 1);
    blue_ = AddTunnel("blue", 2);
  }
  ~ModelTest() override {
    model_.reset();
    epoch_.Synchronize();
    FreeWorkerRings(*worker_);
  }

  uint32_t AddTunnel(const std::string& name, uint32_t if_id) {
    TunnelSpec spec;
    spec.config.name = name;
    spec.config.if_id = if_id;
    spec.config.local = Address("192.0.2.1");
    spec.config.remote = Address("192.0.2.2");
    const Result<uint32_t> id = model_->tunnels.Add(spec);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    return id.value_or(kNoTunnel);
  }

  ike::AddSa Sa(bool inbound, uint32_t spi, uint32_t if_id) const {
    ike::AddSa sa;
    sa.id.source = Address(inbound ? "192.0.2.2" : "192.0.2.1");
    sa.id.destination = Address(inbound ? "192.0.2.1" : "192.0.2.2");
    sa.id.spi = spi;
    sa.id.if_id = if_id;
    sa.inbound = inbound;
    sa.suite = "aes-gcm-16-128";
    sa.encryption_key = Secret(std::string_view("twenty bytes of key!"));
    sa.replay_window = inbound ? 64 : 0;
    return sa;
  }
  ike::SaId Id(bool inbound, uint32_t spi) const { return Sa(inbound, spi, 0).id; }

  OutboundSa* Current(uint32_t tunnel) { return tables_.tunnels[tunnel].outbound.load(); }
  uint32_t CurrentSpi(uint32_t tunnel) {
    return Current(tunnel) == nullptr ? 0 : Current(tunnel)->config.spi;
  }
  NextHopKind KindOf(const std::string& address) {
    const uint32_t index = tables_.fib.Lookup(Address(address));
    return tables_.next_hops[tables_.next_hops.Resolve(index, 1)].kind;
  }
  Status Route(const std::string& prefix, RouteSource source, const std::string& tunnel,
               const std::string& gateway = "") {
    RouteVia via;
    via.tunnel = tunnel;
    if (!gateway.empty()) {
      via.address = Address(gateway);
    }
    const Status set = model_->routes.Set(Net(prefix), source, {RouteAction::kForward, {via}});
    model_->Settle();
    return set;
  }

  FakeClock clock_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WorkerContext> worker_;
  Epoch epoch_;
  GatewayTables tables_;
  RecordedEvents events_;
  std::vector<std::string> kinds_;
  std::unique_ptr<Model> model_;
  uint32_t red_ = 0;
  uint32_t blue_ = 0;
};

}  // namespace penstock
