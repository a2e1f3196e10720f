"""UDP encapsulation, also to a peer behind a NAT whose mapping changes."""

import socket

import pytest

from client import sa_pb
from lab import SaPair
from shell import wait_for
from traffic import Capture, Ping, iperf, ping


def packed(address):
    """The bytes of an address."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_esp_travels_in_udp(lab, outer):
    left, right = lab.site_to_site(outer=outer)
    lab.pair(udp_encapsulation=True)
    with Capture(lab.wire, "bridge") as wire:
        ping(left.host, right.host_address)
        ping(right.host, left.host_address6)
        iperf(left.host, right.host, right.host_address, seconds=1, options=["-n", "2M"])
    assert wire.count("udp.srcport == 4500 && udp.dstport == 4500 && udpencap") > 12
    assert wire.count("ip.proto == 50 || ipv6.nxt == 50") == 0
    # RFC 3948 2.1: over IPv4 the checksum should be zero; over IPv6 it must be right or zero by RFC 6935.
    assert wire.count("udp.checksum.status == 0") == 0


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_any_peer_port_will_do(lab, outer):
    left, right = lab.site_to_site(outer=outer)
    a, b = left.gateway.control, right.gateway.control
    keys = SaPair.key_for("aes-gcm-16-256"), SaPair.key_for("aes-gcm-16-256")
    common = {"tunnel": "tun1", "suite": "aes-gcm-16-256", "udp_encapsulation": True}
    b.add_sa(direction="in", spi=0x2001, key=keys[0], source_port=4500, destination_port=4500, **common)
    a.add_sa(direction="in", spi=0x2002, key=keys[1], source_port=61234, destination_port=4500, **common)
    a.add_sa(direction="out", spi=0x2001, key=keys[0], source_port=4500, destination_port=4500, **common)
    b.add_sa(direction="out", spi=0x2002, key=keys[1], source_port=61234, destination_port=4500, **common)
    with Capture(lab.wire, "bridge") as wire:
        ping(left.host, right.host_address)
    assert wire.count("udp.srcport == 61234") == 3


def nat_pair(lab):
    """SAs over the SA socket, as an IKE daemon behind a NAT negotiates them: left has seen port 4500."""
    left, right = lab.sites
    pair = lab.pair(udp_encapsulation=True)
    wait_for(lambda: ping(right.host, left.host_address, count=1, check=False), "the first ping through the NAT")
    return left, right, pair


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_peer_behind_a_nat_moves_to_another_port(lab, outer):
    """The gateway tells of the new mapping; once the SA is updated, traffic goes on."""
    lab.site_to_site(outer=outer, between="nat")
    left, right, pair = nat_pair(lab)
    nat = "192.0.2.254" if outer == 4 else "2001:db8:ff::fe"
    here = "192.0.2.1" if outer == 4 else "2001:db8:ff::1"
    watcher, events = left.gateway.sa, left.gateway.events()
    watcher.call("subscribe")
    ping(left.host, right.host_address)
    assert events.of("mapping_changed") == []

    lab.masquerade("to :5000-5999")
    with Ping(right.host, left.host_address, every_ms=20) as beat:
        changed = watcher.next_event("mapping_changed")
        assert changed.id.spi == pair.spi_in
        assert changed.new_address == packed(nat)
        assert 5000 <= changed.new_port <= 5999
        wait_for(lambda: events.of("mapping_changed", spi=pair.spi_in), "the event on the control socket")
        watcher.call(
            "update_sa",
            id=sa_pb.SaId(source=packed(here), destination=packed(nat), spi=pair.spi_out, if_id=1),
            new_source=packed(here), new_destination=packed(nat), new_source_port=4500,
            new_destination_port=changed.new_port, udp_encapsulation=True,
        )
        beat.wait_for(replies=20)
    ping(left.host, right.host_address)
    assert left.gateway.sas()[("out", pair.spi_out)].destination_port == changed.new_port


@pytest.mark.drops("encapsulation_mismatch")  # what is in flight between the two ends' updates
def test_encapsulation_and_ports_change_under_traffic(lab):
    """UpdateSa on both ends and in both directions: keys, numbers and counters go on."""
    left, right = lab.site_to_site(right_extra={"limits": {"encapsulation_ports": [4501]}})
    pair = lab.pair()
    ends = "192.0.2.1", "192.0.2.2"

    def update(udp, ports):
        for gateway in (left.gateway, right.gateway):
            for spi, (source, destination), (source_port, destination_port) in (
                    (pair.spi_out, ends, ports), (pair.spi_in, ends[::-1], ports[::-1])):
                gateway.sa.call(
                    "update_sa", id=sa_pb.SaId(source=packed(source), destination=packed(destination), spi=spi, if_id=1),
                    new_source=packed(source), new_destination=packed(destination), new_source_port=source_port,
                    new_destination_port=destination_port, udp_encapsulation=udp)

    with Ping(left.host, right.host_address, every_ms=20) as beat:
        for udp, ports, seen in ((True, (4500, 4500), "udp.port == 4500"), (True, (4500, 4501), "udp.port == 4501"),
                                 (False, (0, 0), "ip.proto == 50")):
            beat.wait_for(replies=5)
            update(udp, ports)
            with Capture(lab.wire, "bridge") as wire:
                beat.wait_for(replies=5)
            assert wire.count(f"{seen} && esp") >= 10
    wait_for(lambda: left.gateway.sas()[("out", pair.spi_out)].packets == beat.sent, "all packets to be counted in one SA")
    assert right.gateway.sas()[("in", pair.spi_out)].replay.duplicate_packets == 0
    print(f"{beat.lost} of {beat.sent} lost in three moves")


@pytest.mark.drops("integrity_failed", "nat_keepalive")
def test_only_an_authentic_packet_changes_the_mapping(lab):
    left, right = lab.site_to_site()
    pair = lab.pair(udp_encapsulation=True)
    ping(right.host, left.host_address)
    events = left.gateway.events()
    address = lab.wire
    address.address("bridge", "192.0.2.77/24")
    forger = address.socket(socket.AF_INET, socket.SOCK_DGRAM)
    forger.bind(("192.0.2.77", 4777))
    for sequence in range(1000, 1010):
        forger.sendto(pair.spi_in.to_bytes(4, "big") + sequence.to_bytes(4, "big") + bytes(100), ("192.0.2.1", 4500))
        forger.sendto(b"\xff", ("192.0.2.1", 4500))
    wait_for(lambda: left.gateway.drops().get("integrity_failed", 0) == 10, "ten forged packets")
    wait_for(lambda: left.gateway.drops().get("nat_keepalive", 0) == 10, "ten keepalives")
    ping(right.host, left.host_address)
    assert events.of("mapping_changed") == []
