#!/usr/bin/env python3
"""Records what a real zebra sends over its FPM, and what it holds in the end by its own word.

    scripts/lab.sh /usr/bin/python3 tests/unit/fpm_client/recorded/record.py

writes start.bin and restart.bin (streams of two connections, the second of a zebra that was started anew with less)
and start.routes and restart.routes (its table at the end of each: one route a line, its next hops in order).
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parents[2]
sys.path[:0] = [str(TESTS / "peers"), str(TESTS / "netns")]

from frr import Frr  # noqa: E402  pylint: disable=wrong-import-position
from lab import Lab, build_folder  # noqa: E402  pylint: disable=wrong-import-position
from process import Process  # noqa: E402  pylint: disable=wrong-import-position
from shell import wait_for  # noqa: E402  pylint: disable=wrong-import-position

SHARED = 100  # prefixes that both neighbours announce
ALONE = 200  # and that only the first does
STATIC = """
ip route 192.0.2.0/24 10.0.1.2
ip route 192.0.3.0/24 10.0.1.2
ip route 192.0.3.0/24 10.0.2.2
ip route 198.51.100.0/24 blackhole
ip route 198.51.101.0/24 reject
ip route 203.0.113.0/24 172.16.0.9 g1 onlink
ip route 203.0.114.0/24 192.0.2.7
ipv6 route 2001:db8:100::/48 2001:db8:1::2
ipv6 route 2001:db8:101::/48 blackhole
"""
GONE = ("192.0.2.0/24", "203.0.114.0/24")  # of these, after the restart
BGP = """
router bgp 65000
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor 10.0.1.2 remote-as 65001
 neighbor 10.0.2.2 remote-as 65002
 neighbor 2001:db8:2::2 remote-as 65002
 neighbor 2001:db8:2::2 capability extended-nexthop
 address-family ipv4 unicast
  maximum-paths 8
  neighbor 2001:db8:2::2 activate
"""


def prefixes(count):
    """The first prefixes that the neighbours announce."""
    return [f"10.{50 + number // 250}.{number % 250}.0/24" for number in range(count)]


def neighbour(lab, wire, number, announced, more=""):
    """A BGP speaker at the far end of a wire."""
    space = lab.namespace(f"p{number}")
    Lab.link(wire, f"g{number}", space, "p0")
    for place, device, end in ((wire, f"g{number}", 1), (space, "p0", 2)):
        place.address(device, f"10.0.{number}.{end}/24", f"2001:db8:{number}::{end}/64")
    networks = "".join(f"  network {prefix}\n" for prefix in announced)
    config = f"""
router bgp {65000 + number}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.0.{number}.1 remote-as 65000
 neighbor 2001:db8:{number}::1 remote-as 65000
 neighbor 2001:db8:{number}::1 capability extended-nexthop
 address-family ipv4 unicast
{more}{networks}"""
    return Frr(lab, space, config, daemons=("zebra", "bgpd")).start()


def hop_text(hop):
    """A next hop as the tests write it."""
    words = [str(hop["interfaceIndex"])]
    words += ["via " + hop["ip"]] if "ip" in hop else []
    words += [f"x{hop['weight']}"] if hop.get("weight", 1) != 1 else []
    words += ["onlink"] if hop.get("onLink") else []
    return " ".join(words)


def way_text(route):
    """Where a route leads, as zebra says it itself."""
    hops = [hop for hop in route["nexthops"] if hop.get("active") and not hop.get("recursive")]
    for hop in hops:
        if hop.get("unreachable"):
            return "blackhole" if hop.get("blackhole") else "unreachable"
    return " | ".join(sorted(hop_text(hop) for hop in hops))


def table(frr):
    """All routes of daemons, one a line."""
    lines = []
    for family in ("ip", "ipv6"):
        for prefix, route in frr.routes(family).items():
            if route["protocol"] in ("bgp", "static"):
                lines.append(f"{prefix} {way_text(route)}\n")
    return "".join(sorted(lines))


def wait_quiet(file):
    """Waits until nothing was recorded for a while."""
    seen = [(-1, 0)]

    def quiet():
        size = file.stat().st_size
        seen[0] = (size, seen[0][1] + 1 if size == seen[0][0] else 0)
        return size > 0 and seen[0][1] == 15

    wait_for(quiet, f"zebra to be silent; {file} has {file.stat().st_size} bytes", 60, every=0.2)


def record(lab, wire, name):
    """Starts to record into a file."""
    file = HERE / f"{name}.bin"
    dump = Process(wire, [build_folder() / "fpm_client" / "fpm-dump", "--record", file], f"{lab.folder}/dump-{name}.log")
    dump.start()
    wait_for(file.exists, f"{file} to be there")
    return file, dump


def main():
    """The story: all kinds of routes, neighbours that change and fail, and a zebra that is started anew."""
    lab = Lab("record-")
    wire = lab.namespace("wire")
    first = neighbour(lab, wire, 1, prefixes(SHARED + ALONE))
    second = neighbour(lab, wire, 2, prefixes(SHARED), "  neighbor 2001:db8:2::1 activate\n")
    frr = Frr(lab, wire, STATIC + BGP, fpm="127.0.0.1:2620")
    file, dump = record(lab, wire, "start")
    frr.start()
    frr.wait_bgp("10.0.1.2", "10.0.2.2", "2001:db8:2::2")
    wait_for(lambda: len(table(frr).splitlines()) == SHARED + ALONE + 8, "all routes", 60)
    wait_quiet(file)
    first.configure("router bgp 65001", "address-family ipv4 unicast", *[f"no network {each}" for each in prefixes(20)])
    second.configure("router bgp 65002", "address-family ipv4 unicast", "network 10.99.0.0/16")
    frr.configure("no ip route 192.0.2.0/24 10.0.1.2", "ip route 192.0.2.0/24 10.0.2.2")
    wait_for(lambda: "10.99.0.0/16" in table(frr), "the new prefix", 60)
    wait_quiet(file)
    wire.run("ip", "link", "set", "g2", "down")
    wait_for(lambda: " | " not in table(frr), "single next hops", 60)
    wait_quiet(file)
    wire.run("ip", "link", "set", "g2", "up")
    wire.address("g2", "2001:db8:2::1/64")
    frr.wait_bgp("10.0.2.2", "2001:db8:2::2")
    wait_for(lambda: "10.99.0.0/16" in table(frr), "the second neighbour's prefixes", 60)
    wait_quiet(file)
    (HERE / "start.routes").write_text(table(frr))

    dump.stop()  # before bgpd goes, and its routes with it
    frr.stop()  # zebra takes its routes out of Linux as it goes: the next one would find them there
    first.configure("router bgp 65001", "address-family ipv4 unicast", *[f"no network {each}" for each in prefixes(SHARED + ALONE)[250:]])
    file, dump = record(lab, wire, "restart")
    kept = [line for line in STATIC.splitlines() if not any(prefix in line for prefix in GONE)]
    frr.config = "\n".join(kept) + BGP.replace(" neighbor 10.0.2.2 remote-as 65002\n", "")
    frr.start()
    frr.wait_bgp("10.0.1.2", "2001:db8:2::2")
    wait_for(lambda: "10.99.0.0/16" in table(frr), "all routes", 60)
    wait_quiet(file)
    (HERE / "restart.routes").write_text(table(frr))
    dump.stop()
    lab.close()
    for each in sorted(HERE.glob("*.bin")):
        print(each.name, each.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
