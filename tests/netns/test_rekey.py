"""SAs change under running traffic, and no packet is lost."""

import random
import time

import pytest

from client import Refused
from traffic import Capture, Ping, ping


@pytest.mark.parametrize("esn", [False, True], ids=["sn32", "esn"])
def test_rekey_under_load_loses_no_packet(network, esn):
    """New SAs are installed before the old ones go, so traffic never stops."""
    left, right = network.sites
    old = network.pair(esn=esn)
    with Capture(network.wire, "bridge", "esp") as wire, Ping(left.host, right.host_address, every_ms=2) as beat:
        beat.wait_for(replies=50)
        new = network.pair(esn=esn)
        beat.wait_for(replies=10)
        old.remove()
        beat.wait_for(replies=50)
    assert beat.lost == 0
    spis = {int.from_bytes(bytes(packet)[34:38], "big") for packet in wire.packets()}
    assert spis == {old.spi_out, old.spi_in, new.spi_out, new.spi_in}


def test_many_inbound_sas_live_on_one_tunnel(network):
    """Eight generations overlap; the newest encrypts, all decrypt."""
    left, right = network.sites
    pairs = [network.pair()]
    with Ping(left.host, right.host_address, every_ms=5) as beat:
        for _ in range(7):
            pairs.append(network.pair())
            beat.wait_for(replies=5)
        assert left.gateway.tunnel("tun1").inbound_sas == 8
        for pair in pairs[:-1]:
            pair.remove()
            beat.wait_for(replies=5)
    assert beat.lost == 0


def test_tunnels_between_the_same_addresses_are_kept_apart(lab):
    left, right = lab.site_to_site(tunnels=3)
    for number in (1, 2, 3):
        lab.pair(f"tun{number}")
    for number in (1, 2, 3):
        for site, peer in ((left, 2), (right, 1)):
            site.gateway.control.add_route(f"10.{peer}.0.0/24", [{"tunnel": f"tun{number}"}])
        before = left.gateway.tunnel(f"tun{number}").out_packets
        ping(left.host, right.host_address, count=10)
        assert left.gateway.tunnel(f"tun{number}").out_packets - before == 10
        assert right.gateway.tunnel(f"tun{number}").in_packets == 10
        for site, peer in ((left, 2), (right, 1)):
            site.gateway.control.delete_route(f"10.{peer}.0.0/24")


def test_storm_of_rekeys_loses_nothing(network):
    """Rekeys as fast as the socket takes them, several generations at once, in random order of removal."""
    left, right = network.sites
    order = random.Random(7)
    alive = [network.pair()]
    rekeys = 0
    with Ping(left.host, right.host_address, every_ms=2) as beat:
        beat.wait_for(replies=10)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            alive.append(network.pair())
            rekeys += 1
            beat.wait_for(replies=1)
            while len(alive) > 5:
                alive.pop(order.randrange(len(alive) - 1)).remove()
    assert beat.lost == 0
    assert rekeys > 50


def test_an_spi_is_not_given_twice(network):
    left, _ = network.sites
    pair = network.pair()
    with pytest.raises(Refused) as refused:
        left.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_in, suite="aes-gcm-16-256", key=bytes(36))
    assert refused.value.code == "already_exists"
    assert f"{pair.spi_in:08x}" in refused.value.message
