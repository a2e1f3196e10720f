// Answers of the daemon as text for people: one function for each kind, without side effects.
#pragma once

#include <string>

#include "config/control.pb.h"
#include "dataplane/cli/format.h"
#include "dataplane/cli/table.h"

namespace penstock::cli {

struct View {
  Units units;
  Style style;
};

std::string StatusText(const control::Status& status, const View& view);
std::string PortsText(const control::Ports& ports, const View& view);
std::string WorkersText(const control::Workers& workers, const View& view);
std::string TunnelsText(const control::Tunnels& tunnels, const View& view);
std::string SasText(const control::Sas& sas, const View& view);
std::string PoliciesText(const control::Policies& policies, const View& view);
std::string RoutesText(const control::Routes& routes, const View& view);
std::string GroupsText(const control::Groups& groups, const View& view);
std::string FpmText(const control::Fpm& fpm, const View& view);
std::string NeighborsText(const control::Neighbors& neighbors, const View& view);
std::string LookupText(const control::LookupResult& result, const View& view);
std::string CountersText(const control::Counters& counters, const View& view);
std::string DropsText(const control::Drops& drops, const View& view);
std::string StagesText(const control::Stages& stages, const View& view);

// The text of whatever body the reply has; each row as a block of all of its fields if `detail`.
std::string ReplyText(const control::Reply& reply, bool detail, const View& view);

// Pieces that several tables share.
std::string NextHopText(const control::NextHop& hop);
std::string SelectorText(const control::Selector& selector);
// "3 s ago"-like age and "10.1.0.1 -> 10.2.0.1 SPI 0x00001001 sequence 5 port wan0" of a drop.
std::string LastDropText(const control::LastDrop& last);
// What runs out first of the hard limits: "03:20:00", "12.0 GB", "5.00 M packets"; "-" without any.
std::string LifeLeftText(const control::Lifetime& lifetime, const Units& units);
// A count that should be 0.
Cell BadCount(uint64_t count, const Units& units, Color color = Color::kWarning);

}  // namespace penstock::cli
