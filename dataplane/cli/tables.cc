#include "dataplane/cli/tables.h"

#include "dataplane/cli/detail.h"
#include "dataplane/cli/json.h"

namespace penstock::cli {

std::string ReplyText(const control::Reply& reply, bool detail, const View& view) {
  if (detail) {
    return DetailText(BodyOf(reply), view);
  }
  switch (reply.body_case()) {
    case control::Reply::kStatus:
      return StatusText(reply.status(), view);
    case control::Reply::kPorts:
      return PortsText(reply.ports(), view);
    case control::Reply::kWorkers:
      return WorkersText(reply.workers(), view);
    case control::Reply::kTunnels:
      return TunnelsText(reply.tunnels(), view);
    case control::Reply::kSas:
      return SasText(reply.sas(), view);
    case control::Reply::kPolicies:
      return PoliciesText(reply.policies(), view);
    case control::Reply::kRoutes:
      return RoutesText(reply.routes(), view);
    case control::Reply::kGroups:
      return GroupsText(reply.groups(), view);
    case control::Reply::kFpm:
      return FpmText(reply.fpm(), view);
    case control::Reply::kNeighbors:
      return NeighborsText(reply.neighbors(), view);
    case control::Reply::kCounters:
      return CountersText(reply.counters(), view);
    case control::Reply::kDrops:
      return DropsText(reply.drops(), view);
    case control::Reply::kStages:
      return StagesText(reply.stages(), view);
    case control::Reply::kLookup:
      return LookupText(reply.lookup(), view);
    default:
      return DetailText(BodyOf(reply), view);
  }
}

}  // namespace penstock::cli
