"""Policy-based protection: no tunnel device, no if_id; policies of the SA socket steer into SAs by reqid."""

import pytest

from client import sa_pb
from lab import Lab
from test_sa_socket import add_sa_by_socket, packed
from traffic import ping

NETWORKS = {1: "10.1.0.0", 2: "10.2.0.0"}
REQID = 7


def selector(address, length=24, protocol=0):
    """One side's traffic selector."""
    return sa_pb.TrafficSelector(address=packed(address), prefix_length=length, protocol=protocol)


def policy_id(direction, source, destination, **fields):
    """The name of a policy on the socket."""
    return sa_pb.PolicyId(direction=direction, source=source, destination=destination, **fields)


def protect(gateway, here, there):
    """The pair of policies that charon adds for a child SA: what leaves, and what comes."""
    ends = packed(f"192.0.2.{here}"), packed(f"192.0.2.{there}")
    out = policy_id(sa_pb.DIRECTION_OUT, selector(NETWORKS[here]), selector(NETWORKS[there]))
    into = policy_id(sa_pb.DIRECTION_IN, selector(NETWORKS[there]), selector(NETWORKS[here]))
    gateway.sa.call("add_policy", id=out, source=ends[0], destination=ends[1], reqid=REQID)
    gateway.sa.call("add_policy", id=into, source=ends[1], destination=ends[0], reqid=REQID)
    return out


def install_sas(a, b):
    """One SA each way, bound by reqid alone."""
    ends = "192.0.2.1", "192.0.2.2"
    there, back = bytes(range(36)), bytes(range(50, 86))
    for gateway, source, destination, spi, key, inbound in (
        (b, *ends, 0x1001, there, True), (a, *reversed(ends), 0x2001, back, True),
        (a, *ends, 0x1001, there, False), (b, *reversed(ends), 0x2001, back, False),
    ):
        add_sa_by_socket(gateway, source, destination, spi, key, inbound, if_id=0, reqid=REQID)


def build_sites(lab):
    """Two gateways whose routes lead out in clear: only policies protect."""
    def clear(peer):
        return {"tunnels": [], "protected": [], "routes": [
            {"prefix": f"{NETWORKS[peer]}/24", "via": [{"address": f"192.0.2.{peer}"}]}]}
    return lab.site_to_site(left_extra=clear(2), right_extra=clear(1))


@pytest.mark.drops("no_outbound_sa", "policy_discard", "neighbor_unresolved")
def test_policies_steer_into_sas_by_reqid(lab):
    """A trap asks for an SA, SAs carry, a discard policy stops, and nothing leaves in clear meanwhile."""
    left, right = build_sites(lab)
    a, b = left.gateway, right.gateway
    a.sa.call("subscribe")
    out = protect(a, 1, 2)
    protect(b, 2, 1)

    assert ping(left.host, right.host_address, count=1, check=False) == 0
    acquire = a.sa.next_event("acquire")
    assert acquire.reqid == REQID
    assert acquire.packet_destination.address == packed(right.host_address)
    assert a.drops()["no_outbound_sa"] > 0

    install_sas(a, b)
    ping(left.host, right.host_address, count=5)
    assert a.sas()[("out", 0x1001)].packets == 5
    assert a.sa.call("query_policy", id=out).policy_usage.last_use_nanoseconds > 0

    discard = policy_id(sa_pb.DIRECTION_OUT, selector(left.host_address, 32), selector(right.host_address, 32),
                        priority_class=sa_pb.PRIORITY_CLASS_PASS)
    a.sa.call("add_policy", id=discard, type=sa_pb.POLICY_TYPE_DISCARD)
    assert ping(left.host, right.host_address, count=2, check=False) == 0
    assert a.drops()["policy_discard"] == 2
    a.sa.call("delete_policy", id=discard, type=sa_pb.POLICY_TYPE_DISCARD)
    ping(left.host, right.host_address, count=3)


def test_clear_packets_that_must_be_protected_are_refused():
    """What arrives in clear although the policy says ESP is dropped (RFC 4301 5.2)."""
    lab = Lab("own-")  # not the fixture's, which demands that nothing is on the wire in clear
    try:
        left, right = build_sites(lab)
        protect(right.gateway, 2, 1)
        assert ping(left.host, right.host_address, count=3, check=False) == 0
        assert right.gateway.drops()["no_policy"] == 3
        right.gateway.settle()
    finally:
        lab.close()
