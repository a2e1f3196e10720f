// The configuration's message as the values that the gateway's parts take. The message is valid
// (see config/validate.h); what cannot be read all the same is an error, never a guess.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/gateway.pb.h"
#include "dataplane/base/log.h"
#include "dataplane/base/message_socket.h"
#include "dataplane/control/port_set.h"
#include "dataplane/control/routes.h"
#include "dataplane/control/tunnels.h"
#include "dataplane/control/worker_set.h"
#include "dataplane/runtime/eal.h"

namespace penstock {

LogOptions LogOptionsOf(const config::Gateway& gateway);
EalConfig EalConfigOf(const config::Gateway& gateway);
Result<WorkerSetOptions> WorkerOptionsOf(const config::Gateway& gateway);
Result<std::vector<PortSpec>> PortsOf(const config::Gateway& gateway);
Result<TunnelSpec> TunnelOf(const config::Tunnel& tunnel);
Result<std::vector<TunnelSpec>> TunnelsOf(const config::Gateway& gateway);
Result<std::vector<Prefix>> ProtectedOf(const config::Gateway& gateway);

// One next hop in the words that configuration and control socket share; empty strings and 0: not
// given.
Result<RouteVia> MakeRouteVia(const std::string& tunnel, const std::string& address,
                              const std::string& port, uint32_t weight,
                              const PortByName& find_port);
Result<RouteAction> ParseRouteAction(const std::string& text);
Result<std::vector<std::pair<Prefix, RoutePath>>> RoutesOf(const config::Gateway& gateway,
                                                           const PortByName& find_port);

// "control.sock" or "sa.sock" in the configured directory, open to root and the configured group.
Result<MessageServerOptions> SocketOf(const config::Gateway& gateway, const std::string& file);

}  // namespace penstock
