"""Nothing of a protected prefix leaves in clear, whatever comes and goes in whatever order."""

import random
import secrets

import pytest

from client import Refused
from traffic import Capture, Ping, ping

EVERYTHING = ("no_sa", "no_outbound_sa", "protected_prefix", "no_route", "blackhole_route", "outer_unroutable", "hold_queue_full",
              "unreachable_route", "neighbor_unresolved")


@pytest.mark.drops("no_outbound_sa")
def test_without_an_sa_nothing_leaves(network):
    left, right = network.sites
    with Capture(network.wire, "bridge", "esp") as wire:
        assert ping(left.host, right.host_address, count=3, check=False) == 0
        assert ping(left.host, right.host_address6, count=3, check=False) == 0
    assert wire.packets() == []
    assert left.gateway.drops()["no_outbound_sa"] >= 6


@pytest.mark.drops(*EVERYTHING)
def test_random_changes_never_let_anything_out_in_clear(network):
    """Routes, SAs and tunnels are added and deleted at random while the host keeps sending."""
    left, right = network.sites
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    order = random.Random(seed)
    control = left.gateway.control
    prefixes = ["10.2.0.0/24", "10.2.0.10/32", "10.2.0.0/16", "2001:db8:2::/64", "0.0.0.0/0", "::/0"]
    clear = [[{"address": "192.0.2.2"}], [{"address": "2001:db8:ff::2"}], [{"tunnel": "tun1"}], [{"tunnel": "extra"}], [{"port": "wan0"}]]
    pairs = []

    def add_route():
        control.add_route(order.choice(prefixes), order.choice(clear))

    def delete_route():
        control.delete_route(order.choice(prefixes))

    def add_sa():
        pairs.append(network.pair())

    def delete_sa():
        if pairs:
            pairs.pop(order.randrange(len(pairs))).remove()

    def add_tunnel():
        left.gateway.ctl("add", "tunnel", "extra", "--if-id", "77", "--local", "192.0.2.1", "--remote", "192.0.2.2", check=False)

    def delete_tunnel():
        left.gateway.ctl("delete", "tunnel", "extra", check=False)

    marker = "50656e73746f636b"
    with Capture(network.wire, "bridge") as wire, \
            Ping(left.host, right.host_address, every_ms=3, options=["-p", marker]) as beat, \
            Ping(left.host, right.host_address6, every_ms=3, options=["-p", marker]):
        for _ in range(300):
            try:
                order.choice([add_route, delete_route, add_sa, delete_sa, add_tunnel, delete_tunnel])()
            except Refused:
                pass  # the order was a useless one; that is part of the game
        for prefix in prefixes:
            try:
                control.delete_route(prefix)
            except Refused:
                pass
        delete_tunnel()
        network.pair()
        beat.wait_for(replies=5)
    with open(wire.path, "rb") as file:
        assert bytes.fromhex(marker) not in file.read(), f"seed {seed}"
