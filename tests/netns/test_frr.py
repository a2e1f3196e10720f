"""The README's section about FRR does what it says, between two gateways with bgpd and bfdd on both."""

import pathlib
import re
import shlex

from frr import Frr
from shell import wait_for

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## FRR\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)[1]
BLOCKS = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", SECTION, re.MULTILINE)]


def test_the_readmes_frr_section(lab):
    """frr.conf and commands as printed, BGP over the tunnel, the learned prefix carried by it, BFD known to the gateway."""
    configuration, commands = BLOCKS
    sites = lab.site_to_site(start=False)
    frrs = []
    for number, site in enumerate(sites):
        config = site.gateway.config
        config["tunnels"][0]["addresses"] = [f"169.254.21.{2 - number}/30"]
        config["routes"] = [route for route in config["routes"] if ":" in route["prefix"]]
        config["fpm"] = {}
        site.gateway.start()
        text = configuration
        if number == 1:  # the other end's view of the same
            for ours, theirs in (("bgp 65000", "bgp 64512"), ("169.254.21.1", "169.254.21.2"),
                                 ("remote-as 64512", "remote-as 65000"), ("10.1.0.0/24", "10.2.0.0/24")):
                text = text.replace(ours, theirs)
        text = text.replace("fpm address 127.0.0.1 port 2620\n", "")  # Frr adds it, with the module
        frrs.append(Frr(lab, site.gateway.namespace, text, fpm="127.0.0.1:2620"))
    lab.mark()
    lab.pair()
    for frr in frrs:
        frr.start()
    left, right = sites
    frrs[0].wait_bgp("169.254.21.1")
    frrs[0].wait_bfd("169.254.21.1")
    for frr, prefix in zip(frrs, ("10.2.0.0/24", "10.1.0.0/24")):
        frr.wait_route(prefix)

    def learned(site):
        return [route for route in site.gateway.control.show("routes") if route.source == "bgp" and route.active]

    for site in sites:
        wait_for(lambda site=site: learned(site), f"a route of BGP at {site.gateway.name}", 30)
    assert [[hop.tunnel for hop in route.next_hops] for route in learned(left)] == [["tun1"]]
    left.host.run("/usr/bin/python3", "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                  f"s.sendto(b'x', ('{right.host_address}', 9))")
    wait_for(lambda: right.gateway.tunnel("tun1").in_packets > 0, "the packet out of the tunnel")

    printed = {}
    for command in commands.splitlines():
        words = shlex.split(command)
        assert words[0] == "penstockctl"
        printed[words[1] if words[1] == "lookup" else words[2]] = left.gateway.ctl(*words[1:])
    assert "connected from 127.0.0.1" in printed["fpm"]
    assert "10.2.0.0/24" in printed["routes"] and "tunnel tun1" in printed["routes"]
    assert "tunnel tun1" in printed["nexthop-groups"] and "alive" in printed["nexthop-groups"]
    assert "encrypted by tunnel tun1" in printed["lookup"] and "192.0.2.1 -> 192.0.2.2" in printed["lookup"]
    wait_for(lambda: [session.state for session in left.gateway.tunnel("tun1").bfd] == ["up"], "BFD at the gateway", 30)
