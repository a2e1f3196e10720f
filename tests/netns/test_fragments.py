"""Fragmentation before encryption, and reassembly of outer fragments on the way in."""

import pytest

from lab import Lab
from traffic import Capture, ping


@pytest.fixture(scope="module")
def shared_network():
    """The module's sites, on AF_XDP: the kernel joins the fragments of IPv4 for af_packet's fanout, here it must not."""
    made = Lab()
    try:
        on_xdp(made.site_to_site(start=False))
        made.mark()
        yield made
    finally:
        made.close()


def on_xdp(sites):
    """Starts the gateways with AF_XDP ports."""
    for site in sites:
        for port in site.gateway.config["ports"]:
            port["device"] = port["device"].replace("af_packet", "af_xdp")
        site.gateway.start()
    return sites


@pytest.mark.drops("too_big")
@pytest.mark.parametrize("size", [1440, 3000, 9000])
def test_large_packets_are_cut_before_encryption(network, size):
    """The ESP packets on the wire are whole; IPv4 is cut by the gateway, IPv6 by the host, which learns the MTU."""
    left, right = network.sites
    network.pair()
    for site, address in ((left, right.host_address6), (right, left.host_address6)):
        ping(site.host, address, count=1, size=1452, options=["-M", "do"], check=False)
    before = left.gateway.control.counters().fragments_packets
    with Capture(network.wire, "bridge", "(ip and ip[6:2] & 0x3fff != 0) or (ip6 and ip6[6] == 44)") as fragments:
        for address in (right.host_address, right.host_address6):
            ping(left.host, address, count=3, size=size, options=["-M", "dont"])
    assert fragments.packets() == []
    assert left.gateway.control.counters().fragments_packets >= before + 3


@pytest.mark.drops("too_big")
def test_unfragmentable_packets_are_answered(network):
    left, right = network.sites
    network.pair()
    output = left.host.run("ping", "-4", "-n", "-c", 1, "-M", "do", "-s", 1472, "-W", 2, right.host_address, check=False)
    assert "mtu = 1446" in output or "mtu=1446" in output


def test_outer_fragments_are_joined(lab):
    """A router with a smaller MTU cuts the ESP packets; the gateway behind it joins them."""
    left, right = on_xdp(lab.site_to_site(between="router", far_mtu=1300, tunnel_options={"df": "clear"}, start=False))
    lab.mark()
    pair = lab.pair()
    ping(left.host, right.host_address, count=5, size=1300)
    assert right.gateway.sas()[("in", pair.spi_out)].packets == 5
    assert right.gateway.control.counters().merged_packets == 5
