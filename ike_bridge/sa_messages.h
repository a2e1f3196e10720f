// The SA socket's messages and the values they stand for: pure conversion, both ways. Nothing of
// protobuf goes beyond this border into the gateway.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "dataplane/base/result.h"
#include "ike_bridge/sa_change.h"

namespace penstock {

inline constexpr uint32_t kSaProtocolVersion = 1;

struct HelloMessage {
  uint32_t protocol_version = 0;
  std::string software;
};
struct QuerySaRequest {
  ike::SaId id;
};
struct DeleteSaRequest {
  ike::SaId id;
};
struct FlushSasRequest {};
struct AddPolicyRequest {
  ike::Policy policy;
};
struct DeletePolicyRequest {
  ike::Policy policy;  // its addresses are not told
};
struct QueryPolicyRequest {
  ike::PolicyId id;
};
struct FlushPoliciesRequest {};
struct SubscribeRequest {};

using SaOperation =
    std::variant<HelloMessage, ike::GetSpi, ike::AddSa, ike::UpdateSa, QuerySaRequest,
                 DeleteSaRequest, FlushSasRequest, AddPolicyRequest, DeletePolicyRequest,
                 QueryPolicyRequest, FlushPoliciesRequest, SubscribeRequest>;

struct SaRequest {
  uint64_t id = 0;
  SaOperation operation;
};

// Reads one client frame. Takes any bytes; the error names field, value and what would be right.
// `id`, if not null, gets the request's id even then, as far as it could be read, else 0. No copy
// of a key but the Secrets in the result remains.
Result<SaRequest> ParseSaRequest(std::string_view frame, uint64_t* id = nullptr);

// Priority of a policy without a manual one: PASS before DEFAULT before ROUTED before FALLBACK (0
// to 3), within one the narrower selectors first. Lower wins.
uint32_t PolicyPriority(unsigned precedence, const ike::TrafficSelector& source,
                        const ike::TrafficSelector& destination);

}  // namespace penstock
