"""Flows are spread over the tunnels of a group; when one dies only its flows move."""

import socket

import pytest

from shell import wait_for

TUNNELS = ("tun1", "tun2", "tun3", "tun4")


class Flows:
    """Many UDP flows from one host to an echo-less sink on the other; each datagram names its flow."""

    def __init__(self, source, sink, count):
        self.address = sink.host_address
        self.sink = sink.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sink.bind((self.address, 9000))
        self.sockets = []
        for number in range(count):
            flow = source.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
            flow.bind((source.host_address, 20000 + number))
            self.sockets.append(flow)

    def send(self, numbers=None):
        """One datagram of each flow; all must arrive."""
        numbers = range(len(self.sockets)) if numbers is None else numbers
        for number in numbers:
            self.sockets[number].sendto(str(number).encode(), (self.address, 9000))
        arrived = {int(self.sink.recv(100)) for _ in numbers}
        assert arrived == set(numbers)

    def close(self):
        """Closes all sockets."""
        for each in [self.sink, *self.sockets]:
            each.close()


@pytest.fixture
def flows(lab):
    """Four tunnels with SAs, and 256 flows over them."""
    left, right = lab.site_to_site(tunnels=4)
    pairs = [lab.pair(tunnel) for tunnel in TUNNELS]
    made = Flows(left, right, 256)
    yield lab, pairs, made
    made.close()


def packets(site):
    """Packets out so far by tunnel."""
    return {row.name: row.out_packets for row in site.gateway.control.show("tunnels")}


def spread(site, flows, numbers=None):  # pylint: disable=redefined-outer-name
    """How many datagrams of one round went by each tunnel."""
    before = packets(site)
    flows.send(numbers)
    after = wait_for(
        lambda: (now := packets(site)) and sum(now.values()) - sum(before.values()) >= 1 and now, "counted packets")
    return {name: after[name] - before[name] for name in TUNNELS}


def way(site, number):
    """The tunnel that a flow takes, by `lookup`."""
    return site.gateway.control.lookup("10.2.0.10", source="10.1.0.10", protocol=17, source_port=20000 + number,
                                       destination_port=9000).next_hop.tunnel


def test_flows_are_spread_evenly_and_stay(flows):
    lab, _, udp = flows
    left, _ = lab.sites
    first = spread(left, udp)
    assert sum(first.values()) == 256
    assert min(first.values()) >= 0.15 * 256, first
    assert spread(left, udp) == first


def test_weights_count(flows):
    lab, _, udp = flows
    left, _ = lab.sites
    left.gateway.control.add_route("10.2.0.0/24", [
        {"tunnel": "tun1", "weight": 3}, {"tunnel": "tun2", "weight": 1}])
    shares = spread(left, udp)
    assert shares["tun3"] == shares["tun4"] == 0
    assert 0.62 * 256 < shares["tun1"] < 0.88 * 256


def test_only_the_flows_of_a_lost_member_move_and_come_back(flows):
    lab, pairs, udp = flows
    left, _ = lab.sites
    before = [way(left, number) for number in range(256)]
    full = spread(left, udp)
    assert full == {name: before.count(name) for name in TUNNELS}
    left.gateway.control.delete_sa(pairs[1].spi_out, "out")
    after = [way(left, number) for number in range(256)]
    for old, new in zip(before, after):
        assert new == old if old != "tun2" else new in ("tun1", "tun3", "tun4")
    moved = spread(left, udp)
    assert moved["tun2"] == 0
    assert min(moved[name] - full[name] for name in ("tun1", "tun3", "tun4")) > 0
    lab.pair("tun2")
    assert [way(left, number) for number in range(256)] == before
    assert spread(left, udp) == full
