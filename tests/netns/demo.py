"""The demo: two gateways, a host behind each, AES-GCM-256 in both directions, ping and iperf3."""

import sys
import time

from kept import take_down
from lab import Lab, SaPair, build_folder
from traffic import iperf, ping

PREFIX = "penstock-demo-"


def step(text):
    """Prints what comes next with the time that has passed."""
    print(f"[{time.monotonic() - step.start:5.1f} s] {text}", flush=True)


step.start = time.monotonic()


def hint(left, right):
    """What one can try now."""
    ctl = build_folder() / "dataplane" / "penstockctl"
    socket = left.gateway.folder / "control.sock"
    host = left.host.name
    print(f"""
It keeps running. Try:
  {ctl} --socket {socket} show tunnels
  {ctl} --socket {socket} watch
  {ctl} --socket {socket} lookup {right.host_address}
  ip netns exec {host} ping {right.host_address}
  ip netns exec {host} traceroute -n {right.host_address}
  ip netns exec {PREFIX}wire tcpdump -ni bridge        # nothing but ESP
Take it down: scripts/demo --stop""")


def main():
    """Runs the demo; with --keep it stays, with --stop an earlier one goes."""
    if take_down(PREFIX) and "--stop" in sys.argv:
        print("the demo is taken down")
        return
    if "--stop" in sys.argv:
        print("no demo is running")
        return
    keep = "--keep" in sys.argv
    step("two gateways and two hosts in network namespaces")
    lab = Lab(PREFIX, keep)
    left, right = lab.site_to_site()
    step("SAs over the socket: aes-gcm-16-256, both directions")
    SaPair(left.gateway, right.gateway)
    step(f"ping {left.host_address} -> {right.host_address}")
    received = ping(left.host, right.host_address, count=5)
    ping(left.host, right.host_address6, count=5)
    step(f"{received} of 5 came back, IPv4 and IPv6")
    step("iperf3, 5 s of TCP through the tunnel")
    sent = iperf(left.host, right.host, right.host_address, seconds=5)["end"]["sum_received"]
    step(f"{sent['bits_per_second'] / 1e6:.0f} Mbit/s over virtual Ethernet, on the CPUs that hosts and gateways share")
    for words in (["status"], ["tunnels"], ["sas"], ["ports"], ["workers"], ["drops"]):
        print(f"\n$ penstockctl show {words[0]}")
        print(left.gateway.ctl("show", *words), end="")
    if not keep:
        lab.verify()
        step("nothing was in clear on the wire, nothing was dropped, and every packet is accounted for")
    if keep:
        hint(left, right)
    else:
        step("taking everything down")
        lab.close()
        step("done; `scripts/demo --keep` leaves it running to play with")


if __name__ == "__main__":
    main()
