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

  // The policy added last is the one in force. `client` is whoever adds it, as long as it is there.
  Status Add(const ike::Policy& policy, const void* client);
  // Takes back one addition of the same id, reqid and action; the one before is in force again.
  // Error: kNotFound.
  Status Delete(const ike::Policy& policy);
  Status Flush();
  // The client has gone. Its policies stay, but one that is added again is the new client's alone:
  // a daemon that was started anew does not delete for its predecessor.
  void Disown(const void* client);

 private:
  struct User {
    ike::Policy policy;
    const void* client;  // null: gone
  };

  SaSink& sink_;
  std::map<ike::PolicyId, std::vector<User>> users_;  // oldest first
};

}  // namespace penstock
