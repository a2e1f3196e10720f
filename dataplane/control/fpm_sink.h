// zebra's routes in the gateway: what the FPM client hands over, as learned routes of RouteTable.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/control/model.h"
#include "fpm_client/route_sink.h"

namespace penstock {

// Control thread only. zebra names interfaces by Linux's numbers: that of a TUN device stands for
// its tunnel, that of a mirror device for its port. A next hop on any other interface cannot be
// taken; it is left out of its path until such a device comes, and a path with none left is
// unreachable.
class FpmSink : public fpm::RouteSink {
 public:
  explicit FpmSink(Model& model);
  ~FpmSink() override;
  FpmSink(const FpmSink&) = delete;
  FpmSink& operator=(const FpmSink&) = delete;

  Status SetPath(fpm::PathId id, const fpm::Path& path) override;
  void RemovePath(fpm::PathId id) override;
  void Apply(std::span<const fpm::RouteUpdate> updates) override;
  void MarkAll() override { model_.routes.MarkLearned(); }
  size_t Sweep(size_t most) override { return model_.routes.SweepLearned(most); }
  size_t stale() const override { return model_.routes.stale(); }
  size_t size() const override { return model_.routes.learned(); }
  bool Alive(fpm::PathId id) const override;
  void OnAlive(std::function<void(fpm::PathId, bool)> callback) override {
    on_alive_ = std::move(callback);
  }
  void VisitRoutes(fpm::PathId id, const std::function<void(const Prefix&)>& visit) const override;

  // Devices or networks came or went.
  void Refresh();
  // What cannot be taken as zebra wants it, a sentence each.
  std::vector<std::string> Problems() const;

 private:
  struct Entry {
    fpm::Path wanted;
    RouteTable::PathId path = 0;
    bool complete = true;
    bool alive = false;
  };
  Entry* Find(fpm::PathId id);
  const Entry* Find(fpm::PathId id) const;
  std::optional<RouteVia> ViaOf(const fpm::Hop& hop, std::string& problem) const;
  Status Translate(Entry& entry);
  void TellAlive();

  Model& model_;
  std::vector<std::optional<Entry>> entries_;  // by the client's number
  std::function<void(fpm::PathId, bool)> on_alive_;
  uint64_t refused_ = 0;  // routes for which the table had no room
};

}  // namespace penstock
