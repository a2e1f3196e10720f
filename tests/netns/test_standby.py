"""A standby next hop carries only while no ordinary one is alive; in clear it must be wanted and not protected."""

import pytest

from shell import CommandFailed, wait_for
from test_ecmp import Flows


@pytest.fixture
def flows(lab):
    """Two tunnels, the second stands by; 64 flows from left to right."""
    routes = [{"prefix": "10.2.0.0/24", "via": [{"tunnel": "tun1"}, {"tunnel": "tun2", "standby": True}]}]
    left, right = lab.site_to_site(tunnels=2, left_extra={"routes": routes})
    pairs = [lab.pair("tun1"), lab.pair("tun2")]
    made = Flows(left, right, 64)
    yield lab, pairs, made
    made.close()


def packets(site):
    """Packets out so far by tunnel."""
    return {row.name: row.out_packets for row in site.gateway.control.show("tunnels")}


def carried(site, flows):  # pylint: disable=redefined-outer-name
    """How many datagrams of one round went by each tunnel."""
    before = packets(site)
    flows.send()
    wait_for(lambda: sum(packets(site).values()) - sum(before.values()) >= 64, "counted packets")
    return {name: count - before[name] for name, count in packets(site).items()}


def test_the_standby_takes_over_and_hands_back(flows):
    lab, pairs, udp = flows
    left, _ = lab.sites
    assert carried(left, udp) == {"tun1": 64, "tun2": 0}
    left.gateway.control.delete_sa(pairs[0].spi_out, "out")
    assert carried(left, udp) == {"tun1": 0, "tun2": 64}
    lab.pair("tun1")
    assert carried(left, udp) == {"tun1": 64, "tun2": 0}
    text = left.gateway.ctl("show", "nexthop-groups")
    assert "alive, standby" in text
    flow = ("--from", "10.1.0.10", "--protocol", "udp", "--sport", "20000", "--dport", "9000")
    explained = left.gateway.ctl("lookup", "10.2.0.10", *flow)
    for words in ("bucket", "tunnel tun2: 0 of 256 buckets, standby", "encrypted by tunnel tun1", "192.0.2.1 -> 192.0.2.2"):
        assert words in explained, explained


def test_by_hand_and_not_for_standbys_alone(flows):
    lab, _, udp = flows
    left, _ = lab.sites
    left.gateway.ctl("add", "route", "10.2.0.0/24", "--via", "tunnel=tun1,standby=yes", "--via", "tunnel=tun2")
    assert carried(left, udp) == {"tun1": 0, "tun2": 64}
    with pytest.raises(CommandFailed, match="every next hop is standby"):
        left.gateway.ctl("add", "route", "10.2.0.0/24", "--via", "tunnel=tun1,standby=yes")
    assert carried(left, udp) == {"tun1": 0, "tun2": 64}
