"""BFD of FRR's bfdd over tunnels: what it says takes a tunnel out of its groups inside the data plane."""

import pytest

from flow import Flow
from frr import Frr
from shell import wait_for

INSIDE = {"tun1": ("169.254.21.1", "169.254.21.2"), "tun2": ("169.254.21.5", "169.254.21.6")}
BFD = """
bfd
 peer {} interface tun1
  transmit-interval 300
  receive-interval 300
 !
 peer {} interface tun2
  transmit-interval 300
  receive-interval 300
 !
!
"""


def two_sites_with_bfd(lab):
    """Two tunnels with inside addresses and SAs; a bfdd at both ends of both."""
    sites = lab.site_to_site(tunnels=2, start=False)
    frrs = []
    for number, site in enumerate(sites):
        for tunnel in site.gateway.config["tunnels"]:
            tunnel["addresses"] = [INSIDE[tunnel["name"]][number] + "/30"]
        site.gateway.start()
        frrs.append(Frr(lab, site.gateway.namespace, BFD.format(*(ends[1 - number] for ends in INSIDE.values())),
                        daemons=("zebra", "bfdd")))
    lab.mark()
    pairs = [lab.pair(tunnel) for tunnel in INSIDE]
    for frr in frrs:
        frr.start()
    for number, frr in enumerate(frrs):
        frr.wait_bfd(*(ends[1 - number] for ends in INSIDE.values()))
    return sites, frrs, pairs


def members(gateway):
    """{tunnel: (alive, buckets held)} of the group of the other site's prefix."""
    route = next(row for row in gateway.control.show("routes") if row.prefix == "10.2.0.0/24" and row.active)
    group = next(row for row in gateway.control.show("groups") if row.index == route.group)
    return {each.next_hop.tunnel: (each.next_hop.alive, each.buckets) for each in group.members}


def bfd_states(gateway, tunnel):
    """States of the sessions through a tunnel, as show tunnels tells them."""
    return [session.state for session in gateway.tunnel(tunnel).bfd]


@pytest.mark.drops("no_sa")
def test_a_tunnel_that_swallows_packets_leaves_its_groups_and_returns(lab):
    """One direction of tun1 is lost while its SAs stand: only BFD can see that."""
    (left, right), _, pairs = two_sites_with_bfd(lab)
    wait_for(lambda: bfd_states(left.gateway, "tun1") == ["up"] == bfd_states(left.gateway, "tun2"), "BFD at the gateway", 30)
    assert members(left.gateway) == {"tun1": (True, 128), "tun2": (True, 128)}
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=32, rate=200).start()
    flow.wait_whole()
    events = left.gateway.events()

    right.gateway.control.delete_sa(pairs[0].spi_out, "in")
    with flow.window() as window:
        wait_for(lambda: members(left.gateway) == {"tun1": (False, 0), "tun2": (True, 256)}, "tun1 to leave the group", 30)
        flow.wait_whole()
    print(window.report)
    row = left.gateway.tunnel("tun1")
    assert row.up and row.bfd_down and "BFD" in row.state
    assert events.of("bfd_down", tunnel="tun1")

    pairs[0].remove()
    lab.pair("tun1")
    wait_for(lambda: members(left.gateway) == {"tun1": (True, 128), "tun2": (True, 128)}, "tun1 to return", 60)
    assert not left.gateway.tunnel("tun1").bfd_down
    flow.wait_whole()


def test_an_ended_session_leaves_the_word_to_the_sa(lab):
    """A session that is switched off, and a bfdd that is killed, take nothing down for good."""
    (left, right), frrs, _ = two_sites_with_bfd(lab)
    whole = {"tun1": (True, 128), "tun2": (True, 128)}
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=16, rate=100).start()
    flow.wait_whole()
    frrs[0].configure("bfd", "peer 169.254.21.2 interface tun1", "shutdown")
    wait_for(lambda: bfd_states(left.gateway, "tun1") == [], "the session to be forgotten", 30)
    assert members(left.gateway) == whole
    frrs[0].kill("bfdd")
    wait_for(lambda: bfd_states(left.gateway, "tun2") == [], "the silent session to be forgotten", 60)
    assert members(left.gateway) == whole
    flow.wait_whole()
    assert right.gateway.running()
