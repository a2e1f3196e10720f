"""What is addressed to the gateway itself goes to Linux and back."""

import socket

import pytest

from shell import wait_for
from traffic import Ping, ping


def serve(space, address, port):
    """A TCP listener in a namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = space.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


def exchange(client, listener, address, port, amount=100_000):
    """Sends bytes one way and back over TCP."""
    dialer = client.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    dialer.connect((address, port))
    accepted, _ = listener.accept()
    accepted.settimeout(10)
    for sender, receiver in ((dialer, accepted), (accepted, dialer)):
        sender.sendall(b"x" * amount)
        got = 0
        while got < amount:
            got += len(receiver.recv(1 << 16))
    for end in (dialer, accepted, listener):
        end.close()


def test_the_gateways_own_addresses_answer(network):
    left, _ = network.sites
    network.pair()
    for address in ("10.1.0.1", "2001:db8:1::1", "192.0.2.1", "2001:db8:ff::1"):
        ping(left.host, address)


def test_tcp_service_on_a_port_address(network):
    left, _ = network.sites
    for number, address in enumerate(("10.1.0.1", "2001:db8:1::1")):
        exchange(left.host, serve(left.gateway.namespace, address, 8000 + number), address, 8000 + number)


def test_tcp_between_the_gateways_inside_the_tunnel(lab):
    """As BGP does: from inside address to inside address, in both directions."""
    left, right = lab.site_to_site(start=False)
    for number, site in ((1, left), (2, right)):
        site.gateway.config["tunnels"][0]["addresses"] = [f"169.254.21.{number}/30", f"2001:db8:77::{number}/64"]
        site.gateway.start()
    lab.mark()
    lab.pair()
    for number, (here, there, address) in enumerate((
            (left, right, "169.254.21.2"), (right, left, "169.254.21.1"),
            (left, right, "2001:db8:77::2"), (right, left, "2001:db8:77::1"))):
        listener = serve(there.gateway.namespace, address, 1790 + number)
        exchange(here.gateway.namespace, listener, address, 1790 + number)


@pytest.mark.drops("punt_policed", "punt_queue_full", "host_write_failed", "transmit_full")
def test_a_flood_is_policed_and_forwarding_goes_on(lab):
    left, right = lab.site_to_site(left_extra={"limits": {"host_packets": 500}})
    lab.pair()
    flood = lab.wire
    flood.address("bridge", "192.0.2.77/24")
    ike = left.gateway.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ike.bind(("192.0.2.1", 500))
    sender = flood.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Ping(left.host, right.host_address, every_ms=5) as beat:
        for _ in range(20_000):
            sender.sendto(b"flood", ("192.0.2.1", 9))
        wait_for(lambda: left.gateway.drops().get("punt_policed", 0) > 1000, "policed packets")
        beat.wait_for(replies=20)
    assert beat.lost == 0

    def heard():
        sender.sendto(b"ike", ("192.0.2.1", 500))
        ike.settimeout(0.2)
        try:
            return ike.recv(10) == b"ike"
        except TimeoutError:
            return False
    wait_for(heard, "a packet for port 500")


def test_the_first_packet_to_an_unresolved_neighbour_is_not_lost(network):
    left, right = network.sites
    network.pair()
    for site in (left, right):
        site.gateway.namespace.run("ip", "neigh", "flush", "dev", "lan0")
    for address in (right.host_address, right.host_address6):
        assert ping(left.host, address, count=1, check=False) == 1
