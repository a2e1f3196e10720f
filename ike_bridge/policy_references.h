// Counts the users of each policy. An IKE daemon adds a policy again for the new SA of a rekey and
// then deletes it for the old one; the gateway must see neither a gap nor a doublet.
#pragma once

#include <map>
#include <vector>

#include "ike_bridge/sa_sink.h"

namespace penstock {

class PolicyReferences {
 public:
  explicit PolicyReferences(SaSink& sink) : sink_(sink) {}

  // The policy added last is the one in force.
  Status Add(const ike::Policy& policy);
  // Takes back one addition of the same id, reqid and action; the one before is in force again.
  // Error: kNotFound.
  Status Delete(const ike::Policy& policy);
  Status Flush();

 private:
  SaSink& sink_;
  std::map<ike::PolicyId, std::vector<ike::Policy>> users_;  // oldest first
};

}  // namespace penstock
