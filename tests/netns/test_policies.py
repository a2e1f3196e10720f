"""Policies of the SA socket: what they protect, hold, ask for and forbid, with and without tunnels."""

import socket
import subprocess

import pytest

from client import sa_pb
from lab import Lab
from test_sa_socket import add_sa_by_socket, packed
from shell import wait_for
from traffic import Ping, ping

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


def install_sas(a, b, spis=(0x1001, 0x2001), if_id=0, reqid=REQID):
    """One SA each way, bound by reqid."""
    ends = "192.0.2.1", "192.0.2.2"
    there, back = bytes(range(36)), bytes(range(50, 86))
    for gateway, source, destination, spi, key, inbound in (
        (b, *ends, spis[0], there, True), (a, *reversed(ends), spis[1], back, True),
        (a, *ends, spis[0], there, False), (b, *reversed(ends), spis[1], back, False),
    ):
        add_sa_by_socket(gateway, source, destination, spi, key, inbound, if_id=if_id, reqid=reqid)


def build_sites(lab):
    """Two gateways whose routes lead out in clear: only policies protect."""
    def clear(peer):
        return {"tunnels": [], "protected": [], "routes": [
            {"prefix": f"{NETWORKS[peer]}/24", "via": [{"address": f"192.0.2.{peer}"}]}]}
    return lab.site_to_site(left_extra=clear(2), right_extra=clear(1))


def trap(left, right):
    """Left's policies, a ping that waits for the SA, and the acquire that it raised."""
    left.gateway.sa.call("subscribe")
    out = protect(left.gateway, 1, 2)
    waiting = left.host.popen("ping", "-n", "-c", 1, "-W", 40, right.host_address, stdout=subprocess.DEVNULL)
    acquire = left.gateway.sa.next_event("acquire", timeout=30)
    assert acquire.reqid == REQID
    assert acquire.packet_source.address == packed(left.host_address)
    assert acquire.packet_destination.address == packed(right.host_address)
    return out, waiting


@pytest.mark.drops("policy_discard", "neighbor_unresolved")
def test_policies_steer_into_sas_by_reqid(lab):
    """A trap asks for an SA and holds the packet, SAs carry, a discard policy stops; nothing leaves in clear."""
    left, right = build_sites(lab)
    a, b = left.gateway, right.gateway
    protect(b, 2, 1)
    out, waiting = trap(left, right)
    install_sas(a, b)
    assert waiting.wait(timeout=60) == 0  # the packet that raised the acquire has arrived
    ping(left.host, right.host_address, count=5)
    assert a.sas()[("out", 0x1001)].packets == 6
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


@pytest.mark.drops("acquire_timeout", "hold_queue_full", "neighbor_unresolved")
def test_what_waits_for_an_sa_in_vain_is_counted_as_such(lab):
    left, right = build_sites(lab)
    _, waiting = trap(left, right)
    try:
        wait_for(lambda: left.gateway.drops().get("acquire_timeout"), "the end of the wait", 60)
        assert right.gateway.sas() == {}
    finally:
        waiting.kill()
        waiting.wait()


@pytest.mark.drops("neighbor_unresolved")
def test_the_gateways_own_addresses_are_behind_the_policies_too(lab):
    """Without a tunnel device: what is for the gateway comes by the port's device, and what it says goes into the SA."""
    left, right = build_sites(lab)
    protect(left.gateway, 1, 2)
    protect(right.gateway, 2, 1)
    install_sas(left.gateway, right.gateway)
    ping(left.host, "10.2.0.1", count=5)
    ping(left.gateway.namespace, right.host_address, count=5, options=["-I", "10.1.0.1"])
    assert left.gateway.sas()[("out", 0x1001)].packets == 10


@pytest.mark.drops("no_policy", "policy_discard")
def test_child_sas_of_one_tunnel_by_selectors_and_priority(lab):
    """Two reqids below one if_id: the narrower policy's SA takes its host, the other the rest, a discard its own."""
    left, right = lab.site_to_site()
    a, b = left.gateway, right.gateway
    sides = selector(NETWORKS[1]), selector(NETWORKS[2])
    hosts = selector(left.host_address, 32), selector(right.host_address, 32)
    for gateway, (source, destination), ends in ((a, (0, 1), (1, 2)), (b, (1, 0), (2, 1))):
        outer = {"source": packed(f"192.0.2.{ends[0]}"), "destination": packed(f"192.0.2.{ends[1]}")}
        for reqid, pair in ((7, sides), (8, hosts)):
            gateway.sa.call("add_policy", reqid=reqid, **outer,
                            id=policy_id(sa_pb.DIRECTION_OUT, pair[source], pair[destination], if_id=1))
    install_sas(a, b, (0x1001, 0x2001), if_id=1, reqid=8)
    install_sas(a, b, (0x1002, 0x2002), if_id=1, reqid=7)
    ping(left.host, right.host_address, count=4)
    assert (a.sas()[("out", 0x1001)].packets, a.sas()[("out", 0x1002)].packets) == (4, 0)
    left.host.address("eth0", "10.1.0.9/24")
    ping(left.host, right.host_address, count=3, options=["-I", "10.1.0.9"])
    assert (a.sas()[("out", 0x1001)].packets, a.sas()[("out", 0x1002)].packets) == (4, 3)
    never = policy_id(sa_pb.DIRECTION_OUT, *hosts, if_id=1, priority_class=sa_pb.PRIORITY_CLASS_PASS)
    a.sa.call("add_policy", id=never, type=sa_pb.POLICY_TYPE_DISCARD)
    assert ping(left.host, right.host_address, count=2, check=False) == 0
    assert a.drops()["policy_discard"] == 2
    a.sa.call("delete_policy", id=never, type=sa_pb.POLICY_TYPE_DISCARD)
    ping(left.host, right.host_address, count=2)
    assert ping(left.host, "2001:db8:2::2", count=1, check=False) == 0  # no policy of this family
    assert a.drops()["no_policy"] > 0


def test_a_peer_may_use_a_new_sa_before_it_is_installed_here(lab):
    """During a rekey ESP for an SPI that is being negotiated waits for its SA, and nothing is lost."""
    left, right = lab.site_to_site()
    ends = "192.0.2.1", "192.0.2.2"
    install_sas(left.gateway, right.gateway, if_id=1)
    with Ping(left.host, right.host_address, every_ms=20) as beat:
        beat.wait_for(replies=5)
        key = bytes(range(100, 136))
        spi = right.gateway.sa.call("get_spi", source=packed(ends[0]), destination=packed(ends[1])).spi.spi
        add_sa_by_socket(left.gateway, *ends, spi, key, inbound=False, reqid=REQID)
        wait_for(lambda: left.gateway.sas()[("out", spi)].packets, "the peer to use the new SA", 30)
        add_sa_by_socket(right.gateway, *ends, spi, key, inbound=True, update=True, reqid=REQID)
        beat.wait_for(replies=5, timeout=40)
    assert beat.lost == 0
    sent = left.gateway.sas()[("out", spi)].packets
    assert right.gateway.sas()[("in", spi)].packets == sent


@pytest.mark.parametrize("address, sender_address", [("192.0.2.1", "192.0.2.77/24"), ("2001:db8:ff::1", "2001:db8:ff::77/64")],
                         ids=["v4", "v6"])
@pytest.mark.parametrize("port", [500, 4500, 1500])
def test_ike_reaches_linux_in_fragments_too(shared_sites, address, sender_address, port):
    """Whatever policies say of everything else: the daemon that makes the SAs must be heard."""
    lab, left = shared_sites
    lab.wire.run("ip", "address", "replace", sender_address, "dev", "bridge", *(["nodad"] if ":" in address else []))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    daemon = left.gateway.namespace.socket(family, socket.SOCK_DGRAM)
    daemon.bind((address, port))
    daemon.settimeout(0.5)
    sender = lab.wire.socket(family, socket.SOCK_DGRAM)
    for size in (200, 4000):
        message = bytes(4) + bytes(index % 251 for index in range(size))

        def heard(message=message):
            sender.sendto(message, (address, port))
            try:
                return daemon.recv(8000) == message
            except TimeoutError:
                return False
        wait_for(heard, f"a message of {size} bytes", 30)
    daemon.close()
    sender.close()


@pytest.fixture(scope="module")
def shared_sites():
    """Two sites whose left gateway protects everything from everybody, with a private port of IKE."""
    lab = Lab("ike-")
    try:
        left, _ = lab.site_to_site(left_extra={"limits": {"ike_ports": [1500]}})
        for anywhere in (selector("0.0.0.0", 0), selector("::", 0)):
            left.gateway.sa.call("add_policy", id=policy_id(sa_pb.DIRECTION_IN, anywhere, anywhere), reqid=REQID)
        yield lab, left
    finally:
        lab.close()
