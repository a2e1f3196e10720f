// A gateway that remembers what it was asked and answers as told: SaSink is a border of the
// program, and its real side needs DPDK.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ike_bridge/sa_sink.h"

namespace penstock {

class FakeSink : public SaSink {
 public:
  Result<uint32_t> GetSpi(const ike::GetSpi& request) override {
    spi_requests.push_back(request);
    return Answer().map([] { return uint32_t{0xc0000001}; });
  }
  Status AddSa(ike::AddSa request) override {
    if (Status answer = Answer(); !answer) {
      return answer;
    }
    added.push_back(std::move(request));
    return {};
  }
  Status UpdateSa(const ike::UpdateSa& request) override {
    updates.push_back(request);
    return Answer();
  }
  Result<ike::Usage> QuerySa(const ike::SaId& id) override {
    queries.push_back(id);
    return Answer().map([] { return ike::Usage{1'000, 10, Nanoseconds(77)}; });
  }
  Status DeleteSa(const ike::SaId& id) override {
    deleted.push_back(id);
    return Answer();
  }
  Status FlushSas() override {
    ++sa_flushes;
    return Answer();
  }
  Status AddPolicy(const ike::Policy& policy) override {
    if (Status answer = Answer(); !answer) {
      return answer;
    }
    ++policy_changes;
    policies[policy.id] = policy;
    return {};
  }
  Status DeletePolicy(const ike::PolicyId& id) override {
    if (Status answer = Answer(); !answer) {
      return answer;
    }
    ++policy_changes;
    policies.erase(id);
    return {};
  }
  Result<Nanoseconds> QueryPolicy(const ike::PolicyId&) override {
    return Answer().map([] { return Nanoseconds(88); });
  }
  Status FlushPolicies() override {
    policies.clear();
    return Answer();
  }

  Status next_answer;  // of all calls until changed
  std::vector<ike::GetSpi> spi_requests;
  std::vector<ike::AddSa> added;
  std::vector<ike::UpdateSa> updates;
  std::vector<ike::SaId> queries;
  std::vector<ike::SaId> deleted;
  std::map<ike::PolicyId, ike::Policy> policies;
  int policy_changes = 0;
  int sa_flushes = 0;

 private:
  Status Answer() const { return next_answer; }
};

}  // namespace penstock
