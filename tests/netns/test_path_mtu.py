"""Tunnel MTU, path MTU discovery and traceroute through both gateways."""

import re

import pytest

from traffic import ping

# Suite, then the inner MTU with 1500 bytes outside: IPv4, IPv4 in UDP, IPv6, IPv6 in UDP.
TABLE = {
    "aes-gcm-16-256": (1446, 1438, 1426, 1418),
    "chacha20-poly1305": (1446, 1438, 1426, 1418),
    "aes-cbc-256-hmac-sha1-96": (1438, 1422, 1422, 1406),
    "aes-cbc-128-hmac-sha2-256-128": (1438, 1422, 1406, 1406),
    "aes-cbc-256-hmac-sha2-384-192": (1422, 1422, 1406, 1390),
    "aes-cbc-256-hmac-sha2-512-256": (1422, 1406, 1390, 1390),
}


def fits(host, address, size):
    """True when an unfragmentable ping of so many bytes in all gets an answer."""
    headers = 48 if ":" in address else 28
    return ping(host, address, count=1, size=size - headers, options=["-M", "do"], check=False) == 1


@pytest.mark.drops("too_big")
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_exactly_the_mtu_of_the_table_passes(lab, outer):
    left, right = lab.site_to_site(outer=outer)
    for suite, row in TABLE.items():
        for udp in (False, True):
            mtu = row[(0 if outer == 4 else 2) + udp]
            pair = lab.pair(suite=suite, udp_encapsulation=udp)
            assert left.gateway.tunnel("tun1").mtu == mtu, (suite, udp)
            for address in (right.host_address, right.host_address6):
                left.host.run("ip", "-4", "route", "flush", "cache")
                left.host.run("ip", "-6", "route", "flush", "cache")
                assert fits(left.host, address, mtu), (suite, udp, address)
                assert not fits(left.host, address, mtu + 1), (suite, udp, address)
            pair.remove()


@pytest.mark.drops("too_big")
def test_hosts_learn_the_mtu(network):
    left, right = network.sites
    network.pair()
    for address in (right.host_address, right.host_address6):
        ping(left.host, address, count=1, size=1472 if "." in address else 1452, options=["-M", "do"], check=False)
        assert "mtu 1446" in left.host.run("ip", "route", "get", address)


@pytest.mark.drops("ttl_exceeded")
@pytest.mark.parametrize("method", [[], ["-I"]], ids=["udp", "icmp"])
def test_traceroute_shows_both_gateways(network, method):
    left, right = network.sites
    network.pair()
    for family, address, first, end in ((
            "-4", right.host_address, "10.1.0.1", "10.2.0.10"), ("-6", right.host_address6, "2001:db8:1::1", "2001:db8:2::10")):
        output = left.host.run("traceroute", family, "-n", *method, "-q", 1, "-w", 2, "-m", 6, address)
        hops = re.findall(r"^ *\d+ +(\S+)", output, re.M)
        assert len(hops) == 3, output
        assert hops[0] == first and hops[2] == end, output
        assert hops[1] != "*", output
