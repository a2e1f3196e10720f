// What RouteTable shows of its routes.
#include "dataplane/control/routes.h"

namespace penstock {

std::vector<RouteTable::View> RouteTable::MakeViews(const Prefix& prefix,
                                                    const RouteEntry& entry) const {
  std::vector<View> views;
  Candidate room;
  for (const Candidate& candidate : CandidatesOf(entry, room)) {
    const Path& path = paths_[candidate.path];
    View view;
    view.prefix = prefix;
    view.source = candidate.source;
    view.path = path.wanted;
    view.active = views.empty();
    view.next_hop = entry.installed != 0 ? entry.installed : path.next_hop;
    view.note = path.problem;
    if (path.clear) {
      if (const std::optional<Prefix> outer = ProtectedBy(prefix)) {
        view.active = false;
        view.note = fmt::format("clear route inside protected {}", outer->ToString());
      }
    }
    views.push_back(std::move(view));
  }
  if (views.empty()) {
    View view;
    view.prefix = prefix;
    view.is_protected = true;
    view.active = true;
    view.next_hop = entry.installed != 0 ? entry.installed : kNextHopProtected;
    views.push_back(std::move(view));
  }
  return views;
}

// The FIB has every wanted prefix, in order; this table has none.
void RouteTable::Visit(const std::optional<Prefix>& from,
                       const std::function<bool(const std::vector<View>&)>& visit) const {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (from && from->family() > family) {
      continue;
    }
    bool go_on = true;
    tables_.fib.Visit(family, from && from->family() == family ? from : std::nullopt,
                      [&](const Fib::Match& match) {
                        const RouteEntry* entry = wanted_.Find(match.prefix);
                        go_on = entry == nullptr || visit(MakeViews(match.prefix, *entry));
                        return go_on;
                      });
    if (!go_on) {
      return;
    }
  }
}

std::vector<RouteTable::View> RouteTable::ViewsOf(const Prefix& prefix) const {
  const RouteEntry* entry = wanted_.Find(prefix);
  return entry == nullptr ? std::vector<View>{} : MakeViews(prefix, *entry);
}

}  // namespace penstock
