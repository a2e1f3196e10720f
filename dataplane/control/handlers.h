// What each request of the control socket does. Handlers that show read; handlers that change go
// through the model and say in one sentence what is wrong.
#pragma once

#include <memory>

#include "config/control.pb.h"
#include "dataplane/control/gateway.h"
#include "dataplane/control/server.h"

namespace penstock {

// show_gateway.cc
control::Status ShowStatus(Gateway& gateway);
Result<control::Ports> ShowPorts(Gateway& gateway, const control::ShowPorts& request);
control::Workers ShowWorkers(Gateway& gateway);
control::Counters ShowCounters(Gateway& gateway);
control::Drops ShowDrops(Gateway& gateway, const control::ShowDrops& request);
control::Stages ShowStages(Gateway& gateway);

// show_sas.cc
Result<control::Tunnels> ShowTunnels(Gateway& gateway, const control::ShowTunnels& request);
Result<PageSource> ShowSas(Gateway& gateway, const control::ShowSas& request);
control::Policies ShowPolicies(Gateway& gateway);

// show_routes.cc
Result<PageSource> ShowRoutes(Gateway& gateway, const control::ShowRoutes& request);
control::Groups ShowGroups(Gateway& gateway);
control::Fpm ShowFpm(Gateway& gateway);
control::Neighbors ShowNeighbors(Gateway& gateway);
Result<control::LookupResult> LookupAddress(Gateway& gateway, const control::Lookup& request);
control::NextHop DescribeNextHop(Gateway& gateway, uint32_t next_hop);
// For people: "via 192.0.2.2, port wan".
std::string NextHopText(Gateway& gateway, uint32_t next_hop);

// change_handlers.cc
Status AddTunnel(Gateway& gateway, const control::AddTunnel& request);
Status DeleteTunnel(Gateway& gateway, const control::DeleteTunnel& request);
Status AddSa(Gateway& gateway, const control::AddSa& request);
Status DeleteSa(Gateway& gateway, const control::DeleteSa& request);
Status AddRoute(Gateway& gateway, const control::AddRoute& request);
Status DeleteRoute(Gateway& gateway, const control::DeleteRoute& request);
Status SetLogLevel(const control::SetLogLevel& request);
Result<control::Reloaded> ReloadConfiguration(Gateway& gateway);

// streams.cc
Result<std::unique_ptr<ControlStream>> StartCapture(Gateway& gateway, ControlClient& client,
                                                    uint32_t id,
                                                    const control::StartCapture& request);
std::unique_ptr<ControlStream> WatchEvents(Gateway& gateway, ControlClient& client, uint32_t id);

uint64_t TimestampMicroseconds();

}  // namespace penstock
