"""Large tables: nothing of what zebra selects is missing or too much, and forwarding does not notice their coming."""

import json

from bgp_sites import FPM, fpm, make_gateways
from bird import Bird
from feeder import Feeder, attribute, OIF, route
from flow import Flow
from frr import Frr
from lab import build_folder
from shell import run, wait_for

PREFIXES4, PREFIXES6 = 180_000, 20_000


def prefixes():
    """Those that BIRD announces: (IPv4, IPv6)."""
    four = [f"{32 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24" for number in range(PREFIXES4)]
    six = [f"2a00:{number >> 8:x}:{number & 255:x}::/48" for number in range(PREFIXES6)]
    return four, six


def bird_config():
    """BIRD with all prefixes, which speaks BGP with the left gateway's FRR in both families."""
    text = ["router id 192.0.2.77;", "protocol device {}"]
    for name, family, routes in zip(("four", "six"), ("ipv4", "ipv6"), prefixes()):
        text += [f"protocol static {name} {{ {family};", *(f"route {prefix} blackhole;" for prefix in routes), "}"]
    for name, family, local, remote in (
            ("bgp4", "ipv4", "192.0.2.77", "192.0.2.1"), ("bgp6", "ipv6", "2001:db8:ff::77", "2001:db8:ff::1")):
        text.append(f"""
protocol bgp {name} {{
  local {local} as 65077; neighbor {remote} as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  {family} {{ import none; export where source = RTS_STATIC; next hop self; }};
}}""")
    return "\n".join(text)


def selected(frr):
    """What zebra has selected of BGP: {prefix: set of devices}."""
    routes = {}
    for family in ("ip", "ipv6"):
        for prefix, entry in frr.routes(family).items():
            if entry["protocol"] == "bgp":
                routes[prefix] = {hop["interfaceName"] for hop in entry["nexthops"] if hop.get("active")}
    return routes


def in_force(gateway):
    """What the gateway does with learned routes, by its command line: {prefix: set of devices}."""
    rows = json.loads(gateway.ctl("show", "routes", "--json"))["routes"]
    return {row["prefix"]: {hop.get("port") or hop.get("tunnel") for hop in row["next_hops"]}
            for row in rows if row["source"] == "bgp" and row["active"]}


def test_every_route_of_zebra_is_in_the_data_plane(lab):
    """200,000 prefixes through real bgpd and zebra, each compared, both ways; then half of them go, and again."""
    left, _ = make_gateways(lab)
    router = lab.wire
    router.address("bridge", "192.0.2.77/24", "2001:db8:ff::77/64")
    frr = Frr(lab, left.gateway.namespace, """
router bgp 65001
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 192.0.2.77 remote-as 65077
 neighbor 192.0.2.77 timers connect 1
 neighbor 2001:db8:ff::77 remote-as 65077
 neighbor 2001:db8:ff::77 timers connect 1
 address-family ipv4 unicast
  neighbor 192.0.2.77 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:ff::77 activate
 exit-address-family
!""", fpm=FPM, daemons=("zebra", "bgpd")).start()
    bird = Bird(lab, router, bird_config()).start()
    wait_for(lambda: fpm(left.gateway).routes == PREFIXES4 + PREFIXES6, "all routes in the data plane", 120, every=0.2)
    wanted = selected(frr)
    assert len(wanted) == PREFIXES4 + PREFIXES6
    assert in_force(left.gateway) == wanted

    bird.birdc("disable", "bgp4")
    wait_for(lambda: fpm(left.gateway).routes == PREFIXES6, "the withdrawal", 120, every=0.2)
    assert in_force(left.gateway) == selected(frr)


def test_a_million_routes_while_a_worker_forwards(lab):
    """A table of a million routes comes, changes and goes; the rates are printed, and no probe is lost."""
    left, right = make_gateways(lab)
    for site, far in ((left, "10.2.0.0/24"), (right, "10.1.0.0/24")):
        feed = Feeder(site.gateway)
        feed.send(route(far, attribute(OIF, feed.interface("tun1"))))
        wait_for(lambda site=site: fpm(site.gateway).routes == 1, "the route to the other site", 30)
        feed.close()
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=8, rate=200).start()
    flow.wait_whole()
    with flow.window() as window:
        print(run("ip", "netns", "exec", left.gateway.namespace.name, build_folder() / "fpm_client" / "fpm-feed",
                  "--connect", FPM, "--next-hop", "tun1", "--next-hop", "tun2", "--routes", "1000000",
                  "--phases", "install,churn", timeout=120))
        assert left.gateway.control.status().routes_ipv4 > 900_000
        print(run("ip", "netns", "exec", left.gateway.namespace.name, build_folder() / "fpm_client" / "fpm-feed",
                  "--connect", FPM, "--next-hop", "tun1", "--next-hop", "tun2", "--routes", "1000000",
                  "--phases", "withdraw", timeout=120))
        wait_for(lambda: fpm(left.gateway).routes == 1, "the withdrawal", 60, every=0.2)
    assert window.report.lost == 0, str(window.report)
