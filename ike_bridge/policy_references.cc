#include "ike_bridge/policy_references.h"

#include <algorithm>

namespace penstock {

Status PolicyReferences::Add(const ike::Policy& policy, const void* client) {
  const auto found = users_.find(policy.id);
  if (found == users_.end() || found->second.back().policy != policy) {
    if (Status added = sink_.AddPolicy(policy); !added) {
      return added;
    }
  }
  std::vector<User>& users = users_[policy.id];
  std::erase_if(users, [](const User& user) { return user.client == nullptr; });
  users.push_back({policy, client});
  return {};
}

Status PolicyReferences::Delete(const ike::Policy& policy) {
  const auto found = users_.find(policy.id);
  if (found == users_.end()) {
    return Fail(Errc::kNotFound, "no policy {} to {} with if_id {} and priority {}",
                policy.id.source.prefix.ToString(), policy.id.destination.prefix.ToString(),
                policy.id.if_id, policy.id.priority);
  }
  std::vector<User>& users = found->second;
  const auto user = std::find_if(users.rbegin(), users.rend(), [&policy](const User& candidate) {
    return candidate.policy.reqid == policy.reqid && candidate.policy.action == policy.action;
  });
  if (user == users.rend()) {
    return Fail(Errc::kNotFound, "policy {} to {} was not added with reqid {} and this type",
                policy.id.source.prefix.ToString(), policy.id.destination.prefix.ToString(),
                policy.reqid);
  }
  if (users.size() == 1) {
    Status deleted = sink_.DeletePolicy(policy.id);
    if (deleted || deleted.error().code == Errc::kNotFound) {
      users_.erase(found);
    }
    return deleted;
  }
  const ike::Policy in_force = users.back().policy;
  const auto removed = std::prev(user.base());
  const User taken_back = *removed;
  const size_t position = static_cast<size_t>(removed - users.begin());
  users.erase(removed);
  if (users.back().policy == in_force) {
    return {};
  }
  Status restored = sink_.AddPolicy(users.back().policy);
  if (!restored) {  // nothing has changed, then
    users.insert(users.begin() + static_cast<std::ptrdiff_t>(position), taken_back);
  }
  return restored;
}

void PolicyReferences::Disown(const void* client) {
  for (auto& [id, users] : users_) {
    for (User& user : users) {
      if (user.client == client) {
        user.client = nullptr;
      }
    }
  }
}

Status PolicyReferences::Flush() {
  Status flushed = sink_.FlushPolicies();
  if (flushed) {
    users_.clear();
  }
  return flushed;
}

}  // namespace penstock
