"""What FRR learns by BGP, or is told, is what the gateways do."""

import pytest

from bgp_sites import BgpSites, TUNNELS, fpm, learned, make_gateways, tunnels_of
from bird import Bird
from flow import Flow
from frr import Frr
from shell import wait_for
from traffic import ping


def out_packets(site):
    """Packets sent so far by tunnel."""
    return {row.name: row.out_packets for row in site.gateway.control.show("tunnels")}


@pytest.mark.drops("protected_prefix")  # after the withdrawal
def test_learned_prefixes_spread_over_both_tunnels(lab):
    """BGP on inside (APIPA) addresses; what it learns carries traffic of both families by both tunnels."""
    sites = BgpSites(lab)
    left, right = sites.left, sites.right
    before = out_packets(left)
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=64, rate=300).start()
    flow6 = Flow(lab, left.host, left.host_address6, right.host, right.host_address6, flows=64, rate=300).start()
    flow.wait_whole()
    flow6.wait_whole()
    after = out_packets(left)
    assert all(after[tunnel] - before[tunnel] > 50 for tunnel in TUNNELS), (before, after)

    row = learned(left.gateway, "10.2.0.0/24")
    assert all(hop.alive for hop in row.next_hops)
    assert any(group.index == row.group for group in left.gateway.control.show("groups"))
    found = left.gateway.control.lookup(right.host_address, source=left.host_address, protocol=17, source_port=1, destination_port=2)
    assert found.prefix == "10.2.0.0/24" and found.tunnel in TUNNELS

    status = fpm(left.gateway)
    assert status.connected
    assert (status.parked_routes, status.stale_routes, status.malformed_messages) == (0, 0, 0), status
    assert status.routes == len(left.gateway.control.show("routes", source="bgp"))
    # The gateway's own networks come from zebra too, and are known from Linux.
    assert not learned(left.gateway, "10.1.0.0/24")
    assert "connected" in left.gateway.ctl("show", "fpm")

    sites.frr[1].configure("router bgp 65002", "address-family ipv4 unicast", "no network 10.2.0.0/24")
    wait_for(lambda: not learned(left.gateway, "10.2.0.0/24"), "the withdrawal", 60)


@pytest.mark.drops("protected_prefix")
def test_loopback_peers(lab):
    """eBGP between addresses behind the tunnels, over several hops; static host routes of FRR lead there."""
    left, right = make_gateways(lab)
    frrs = []
    for number, site in enumerate((left, right), 1):
        peer = 3 - number
        hosts = "\n".join(f"ip route 10.{peer}.0.1/32 {tunnel}" for tunnel in TUNNELS)
        frrs.append(Frr(lab, site.gateway.namespace, f"""
{hosts}
ip route 10.{100 + number}.0.0/16 blackhole
router bgp {65000 + number}
 no bgp ebgp-requires-policy
 neighbor 10.{peer}.0.1 remote-as {65000 + peer}
 neighbor 10.{peer}.0.1 ebgp-multihop 5
 neighbor 10.{peer}.0.1 update-source 10.{number}.0.1
 neighbor 10.{peer}.0.1 timers connect 1
 address-family ipv4 unicast
  network 10.{number}.0.0/24
  network 10.{100 + number}.0.0/16
 exit-address-family
!""", fpm="127.0.0.1:2620").start())
    for number, frr in enumerate(frrs, 1):
        frr.wait_bgp(f"10.{3 - number}.0.1")
    for number, site in ((1, left), (2, right)):
        peer = 3 - number
        # Recursive: the next hop is the loopback, which is reached by both tunnels.
        for prefix in (f"10.{peer}.0.0/24", f"10.{peer}.0.1/32", f"10.{100 + peer}.0.0/16"):
            wait_for(lambda gateway=site.gateway, prefix=prefix: tunnels_of(gateway, prefix) == set(TUNNELS),
                     f"{prefix} by both tunnels at {site.gateway.name}", 60)
        assert learned(site.gateway, f"10.{100 + number}.0.0/16").action == "blackhole"
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=16, rate=200).start()
    flow.wait_whole()


def test_peer_on_a_port(lab):
    """A BGP peer in the clear, BIRD; also IPv4 prefixes with an IPv6 next hop, and routes that lead nowhere."""
    left, _ = make_gateways(lab)
    router = lab.wire
    router.address("bridge", "192.0.2.77/24", "2001:db8:ff::77/64")
    router.address("lo", "198.18.0.1/32", "198.18.1.1/32")
    # Of 10.1.0.0/24 nothing may be seen in the clear: the host has another address for this.
    left.gateway.namespace.address("lan0", "198.19.0.1/24")
    left.host.address("eth0", "198.19.0.10/24")
    router.route("198.19.0.0/24", "192.0.2.1")
    Frr(lab, left.gateway.namespace, """
ip route 198.18.66.0/24 blackhole
ip route 198.18.67.0/24 reject
ip route 198.18.68.0/24 192.0.2.77
router bgp 65001
 no bgp ebgp-requires-policy
 neighbor 192.0.2.77 remote-as 65077
 neighbor 192.0.2.77 timers connect 1
 neighbor 2001:db8:ff::77 remote-as 65077
 neighbor 2001:db8:ff::77 timers connect 1
 neighbor 2001:db8:ff::77 capability extended-nexthop
 address-family ipv4 unicast
  neighbor 2001:db8:ff::77 activate
 exit-address-family
!""", fpm="127.0.0.1:2620").start()
    common = "as 65077; connect delay time 1; connect retry time 1; error wait time 1, 2;"
    Bird(lab, router, f"""
router id 192.0.2.77;
protocol device {{}}
protocol static four {{ ipv4; route 198.18.0.0/24 blackhole; }}
ipv4 table by_six;
protocol static six {{ ipv4 {{ table by_six; }}; route 198.18.1.0/24 blackhole; }}
protocol bgp plain {{
  local 192.0.2.77 {common} neighbor 192.0.2.1 as 65001;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
protocol bgp mixed {{
  local 2001:db8:ff::77 {common} neighbor 2001:db8:ff::1 as 65001;
  ipv4 {{ table by_six; import none; export all; extended next hop on; next hop self; }};
}}
""").start()
    for prefix, address in (("198.18.0.0/24", "192.0.2.77"), ("198.18.1.0/24", "2001:db8:ff::77"), ("198.18.68.0/24", "192.0.2.77")):
        row = wait_for(lambda prefix=prefix: learned(left.gateway, prefix), prefix, 60)
        (hop,) = row.next_hops
        assert hop.port == "wan0", row
        # BGP may prefer the link-local address of its neighbour.
        assert hop.address == address or hop.address.startswith("fe80::"), row
    for prefix, action in (("198.18.66.0/24", "blackhole"), ("198.18.67.0/24", "unreachable")):
        assert wait_for(lambda prefix=prefix: learned(left.gateway, prefix), prefix, 60).action == action
    for address in ("198.18.0.1", "198.18.1.1"):
        wait_for(lambda address=address: ping(left.host, address, options=("-I", "198.19.0.10"), check=False) == 3, f"a ping to {address}", 30)
