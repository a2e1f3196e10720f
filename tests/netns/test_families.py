"""IPv4 and IPv6 inside and outside, in all four combinations, with small, full and jumbo frames."""

import pytest

from checks import checked
from lab import Lab
from traffic import iperf, ping


@pytest.fixture(scope="module", params=[4, 6], ids=["outer4", "outer6"])
def sites_of_family(request):
    """Two sites whose tunnel has IPv4 or IPv6 outer addresses."""
    made = Lab()
    try:
        made.site_to_site(outer=request.param)
        yield made
    finally:
        made.close()


@pytest.fixture
def sites(sites_of_family, request):  # pylint: disable=redefined-outer-name
    """The two sites, checked after the test."""
    yield from checked(sites_of_family, request)


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_pings_of_every_size_pass_both_ways(sites, inner):
    left, right = sites.sites
    sites.pair()
    there = right.host_address if inner == 4 else right.host_address6
    back = left.host_address if inner == 4 else left.host_address6
    for size in (0, 1, 56, 500, 1300):
        ping(left.host, there, count=3, size=size)
        ping(right.host, back, count=3, size=size)


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_tcp_and_udp_streams_pass(sites, inner):
    left, right = sites.sites
    sites.pair()
    there = right.host_address if inner == 4 else right.host_address6
    tcp = iperf(left.host, right.host, there, seconds=1)
    assert tcp["end"]["sum_received"]["bytes"] > 1_000_000
    reverse = iperf(left.host, right.host, there, seconds=1, options=["-R"])
    assert reverse["end"]["sum_received"]["bytes"] > 1_000_000
    udp = iperf(left.host, right.host, there, seconds=1, options=["-u", "-b", "5M", "-l", "1200"])
    assert udp["end"]["sum"]["packets"] > 400
    assert udp["end"]["sum"]["lost_packets"] == 0


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_jumbo_frames_pass_in_one_piece(lab, outer):
    left, right = lab.site_to_site(outer=outer, mtu=9000)
    lab.pair()
    mtu = left.gateway.tunnel("tun1").mtu
    assert mtu == (8946 if outer == 4 else 8926)
    ping(left.host, right.host_address, size=mtu - 28, options=["-M", "do"])
    ping(left.host, right.host_address6, size=mtu - 48, options=["-M", "do"])
    assert left.gateway.control.counters().fragments_packets == 0
    assert iperf(left.host, right.host, right.host_address, seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000
