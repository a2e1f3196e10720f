// From values to the SA socket's messages (clients' requests, the server's events), and the
// clients' reading of events.
#pragma once

#include <variant>

#include "dataplane/base/result.h"
#include "ike_bridge/sa_change.h"
#include "sa_api.pb.h"

namespace penstock {

sa::SaId ToMessage(const ike::SaId& id);
sa::PolicyId ToMessage(const ike::PolicyId& id);
sa::GetSpi ToMessage(const ike::GetSpi& request);
sa::AddSa ToMessage(const ike::AddSa& request);  // holds copies of the keys: WipeKeys after use
sa::UpdateSa ToMessage(const ike::UpdateSa& request);
sa::AddPolicy ToMessage(const ike::Policy& policy);
sa::Event ToMessage(const ike::Expire& event);
sa::Event ToMessage(const ike::Acquire& event);
sa::Event ToMessage(const ike::MappingChanged& event);

using SaEvent = std::variant<ike::Expire, ike::Acquire, ike::MappingChanged>;

Result<SaEvent> FromMessage(const sa::Event& event);

// Overwrites the keys in a message, if it has any.
void WipeKeys(sa::AddSa& message);
void WipeKeys(sa::ClientMessage& message);

}  // namespace penstock
