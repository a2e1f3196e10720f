// SAs and policies as an IKE daemon would ask for them.
#pragma once

#include <string_view>

#include "ike_bridge/sa_change.h"

namespace penstock {

inline IpAddress Address(std::string_view text) { return IpAddress::Parse(text).value(); }

inline ike::TrafficSelector Selector(std::string_view prefix) {
  ike::TrafficSelector selector;
  selector.prefix = Prefix::Parse(prefix).value();
  return selector;
}

inline ike::SaId ExampleId() { return {Address("192.0.2.1"), Address("192.0.2.2"), 0x1234, 7}; }

// Every field differs from its default.
inline ike::AddSa ExampleSa() {
  ike::AddSa sa;
  sa.id = ExampleId();
  sa.name = "site-a";
  sa.inbound = true;
  sa.update = true;
  sa.initiator = true;
  sa.reqid = 3;
  sa.encryption = 20;  // ENCR_AES_GCM_16
  sa.integrity = 1024;
  sa.encryption_key = Secret(std::string_view("0123456789abcdef0123456789abcdefsalt"));
  sa.integrity_key = Secret(std::string_view("integrity"));
  sa.esn = true;
  sa.replay_window = 1024;
  sa.initial_sequence = 1ull << 33;
  sa.udp_encapsulation = true;
  sa.source_port = 4500;
  sa.destination_port = 61234;
  sa.check_source = true;
  sa.tfc = UINT32_MAX;
  sa.df = ike::DfBit::kClear;
  sa.copy_ecn = false;
  sa.copy_dscp = ike::CopyDscp::kNeither;
  sa.dscp = 46;
  sa.lifetime = {1'000, 2'000, 10, 20, 3'000, 3'600};
  sa.source_selectors = {Selector("10.1.0.0/16"), Selector("2001:db8:1::/48")};
  sa.destination_selectors = {Selector("10.2.0.0/16")};
  sa.destination_selectors[0].protocol = 6;
  sa.destination_selectors[0].port_first = sa.destination_selectors[0].port_last = 443;
  return sa;
}

inline ike::Policy ExamplePolicy(uint32_t reqid = 3) {
  ike::Policy policy;
  policy.id.direction = ike::Direction::kForward;
  policy.id.source = Selector("10.1.0.0/16");
  policy.id.destination = Selector("10.2.0.0/16");
  policy.id.if_id = 7;
  policy.id.priority = 1234;
  policy.reqid = reqid;
  policy.source = Address("192.0.2.1");
  policy.destination = Address("192.0.2.2");
  return policy;
}

}  // namespace penstock
