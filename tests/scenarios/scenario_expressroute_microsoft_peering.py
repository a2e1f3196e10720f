"""S3: an office's router with two tunnels to two Penstock instances, BGP from its loopback, both paths in use."""

import socket
import threading

from boxes import TunnelInterface, connection, penstock, port
from flow import Flow
from frr import Frr
from scenario import Scenario
from shell import wait_for
from traffic import Capture, ping

VNET_HOST, OFFICE_HOST = "10.2.0.10", "10.0.0.10"
LOOPBACK = "172.16.0.3"
LEARNED = ("10.0.0.0/24", "10.1.10.0/25")
ADVERTISED = "10.2.0.0/24"
# instance: its address outside, its BGP address, the office's tunnel interface and the address of that, outside of that
WAYS = {
    0: ("203.0.113.2", "10.2.0.228", "Tunnel0", "172.16.0.1", "198.51.100.2"),
    1: ("203.0.113.6", "10.2.0.229", "Tunnel1", "172.16.0.2", "198.51.100.6"),
}
MSS = 1350
DPD_SECONDS = 10
SUITE = {"proposals": "aes256-sha1-modp1024"}
CHILD = {"esp_proposals": "aes256-sha1"}
LEAST_SHARE = 0.15


class ExpressRouteMicrosoftPeering(Scenario):
    """Two tunnels, eBGP multihop between a loopback and the instances' addresses in the VNet."""

    name = "expressroute-microsoft-peering"
    title = "an office's router with two tunnels, eBGP multihop from its loopback, two instances"
    about = "Penstock is the Azure side (10.2.0.0/24) with FRR; the office is strongSwan and FRR in the manner of a CSR1000v"
    clear_text = "net 10.0.0.0/24 or net 10.1.10.0/25 or net 10.2.0.0/24 or net 172.16.0.0/24"

    def build(self):
        self.internet, self.csr = self.router("internet"), self.router("csr")
        self.vnet = self.lab.namespace("vnet")
        self.vnet.run("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        self.vnet.run("ip", "link", "set", "bridge", "up")
        self.vnet_host = self._in_vnet("vnet-host", "eth0")
        self.vnet_host.address("eth0", f"{VNET_HOST}/24")
        self.vnet_host.run("sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
        hops = [word for _, address, *_ in WAYS.values() for word in ("nexthop", "via", address)]
        for prefix in LEARNED:
            self.vnet_host.run("ip", "route", "add", prefix, *hops)
        self.step("two Penstock instances")
        self.instances = [self._instance(number) for number in WAYS]
        self.step("the office's router with its two tunnel interfaces")
        self._office()

    def _in_vnet(self, name, device):
        space = self.lab.namespace(name)
        self.lab.link(space, device, self.vnet, name)
        self.vnet.run("ip", "link", "set", name, "master", "bridge")
        return space

    def _instance(self, number):
        outside, inside, _, _, remote = WAYS[number]
        name = f"azure{number}"
        space = self._in_vnet(name, "eth0")
        near = outside.rsplit(".", 1)[0] + f".{int(outside.rsplit('.', 1)[1]) - 1}"
        self.wire(space, "eth1", None, self.internet, name, f"{near}/30")
        self.watch_wire(self.internet, name)
        to_office = connection(outside, remote, dpd=DPD_SECONDS, child_options=dict(CHILD), **SUITE)
        gateway, charon = penstock(
            self.lab, space, {"onprem": ("onprem", to_office)},
            ports=[port("lan0", "eth0", f"{inside}/24"), port("wan0", "eth1", f"{outside}/30")],
            tunnels=[{"name": "onprem", "if_id": 1, "local": outside, "remote": remote, "mss": MSS}],
            routes=[{"prefix": "0.0.0.0/0", "via": [{"address": near}]}],
            protected=[*LEARNED, f"{LOOPBACK}/32"], fpm={},
        )
        frr = Frr(self.lab, space, f"""
ip route {LOOPBACK}/32 onprem
router bgp 65000
 bgp router-id {inside}
 no bgp ebgp-requires-policy
 timers bgp 1 5
 neighbor {LOOPBACK} remote-as 65010
 neighbor {LOOPBACK} ebgp-multihop 5
 neighbor {LOOPBACK} update-source {inside}
 neighbor {LOOPBACK} timers connect 1
 address-family ipv4 unicast
  network {ADVERTISED}
 exit-address-family
""", fpm="127.0.0.1:2620", daemons=("zebra", "staticd", "bgpd")).start()
        return gateway, charon, frr

    def _office(self):
        self.csr.run("ip", "address", "add", f"{LOOPBACK}/32", "dev", "lo")
        self.office_host = self.host("office-host", f"{OFFICE_HOST}/24", self.csr)
        self.office_host.route("default", "10.0.0.1")
        self.csr.address("office-host", "10.0.0.1/24")
        other = self.host("office-host2", "10.1.10.10/25", self.csr)
        other.route("default", "10.1.10.1")
        self.csr.address("office-host2", "10.1.10.1/25")
        self.tunnels = [
            TunnelInterface(
                self, self.csr, device, address, internet=self.internet, outside=outside, peer=peer, dpd=DPD_SECONDS,
                inside=[f"{inside}/32"], office=[*LEARNED, f"{LOOPBACK}/32"], child_options=dict(CHILD), **SUITE)
            for peer, inside, device, address, outside in WAYS.values()]
        for tunnel in self.tunnels:  # beyond the BGP address, for what comes by that way
            tunnel.space.run("ip", "route", "add", ADVERTISED, "dev", "ipsec0")
        neighbors = "\n".join(
            f" neighbor {inside} remote-as 65000\n neighbor {inside} ebgp-multihop 5\n neighbor {inside} update-source {LOOPBACK}\n"
            f" neighbor {inside} timers connect 1" for _, inside, *_ in WAYS.values())
        self.csr_frr = Frr(self.lab, self.csr, f"""
router bgp 65010
 bgp router-id {LOOPBACK}
 no bgp ebgp-requires-policy
 timers bgp 1 5
{neighbors}
 address-family ipv4 unicast
  network {LEARNED[0]}
  network {LEARNED[1]}
  maximum-paths 2
 exit-address-family
""", daemons=("zebra", "bgpd")).start()

    def examine(self):
        with self.checking("both tunnels are Connected, with the suites wanted", vital=True) as check:
            seen = []
            for gateway, charon, _ in self.instances:
                child = charon.wait_children()[0]
                ike = charon.wait_established()[0]
                wait_for(lambda gateway=gateway: gateway.tunnel("onprem").up, "the tunnel", 30)
                seen.append(f"{ike['encr-alg']}-{ike['encr-keysize']} {ike['integ-alg']} {ike['dh-group']}, "
                            f"ESP {child['encr-alg']}-{child['encr-keysize']} {child['integ-alg']}")
                check.require(seen[-1] == "AES_CBC-256 HMAC_SHA1_96 MODP_1024, ESP AES_CBC-256 HMAC_SHA1_96", f"negotiated: {seen[-1]}")
            check.detail = seen[0]
        with self.checking("BGP peers are Connected", vital=True) as check:
            self.csr_frr.wait_bgp(*[inside for _, inside, *_ in WAYS.values()])
            for _, _, frr in self.instances:
                frr.wait_bgp(LOOPBACK)
            check.detail = f"{LOOPBACK} with " + " and ".join(inside for _, inside, *_ in WAYS.values())
        with self.checking("routes are learned and advertised as in the article", vital=True) as check:
            check.detail = self._routes(check)
        with self.checking("the hosts reach each other") as check:
            received = ping(self.vnet_host, OFFICE_HOST, count=20) + ping(self.office_host, VNET_HOST, count=20)
            check.detail = f"{received} of 40 pings"
        with self.checking(f"the TCP MSS on the wire is at most {MSS}, both ways") as check:
            sizes = self._mss_of_a_connection()
            check.require(len(sizes) == 2 and max(sizes) <= MSS, f"seen: {sizes}")
            check.detail = f"SYN {sizes[0]}, SYN and ACK {sizes[1]}; the hosts' own is 1460"
        with self.checking("both tunnels carry traffic, their byte counters grow") as check:
            check.detail = self._both_carry(check)

    def _routes(self, check):
        for number, (gateway, _, frr) in enumerate(self.instances):
            for prefix in LEARNED:
                frr.wait_route(prefix)
                wait_for(lambda gateway=gateway, prefix=prefix: gateway.control.lookup(prefix.split("/")[0]).tunnel == "onprem",
                         f"{prefix} through the tunnel", 30)
            learned = frr.show("show bgp ipv4 unicast")["routes"]
            for prefix in LEARNED:
                path = learned[prefix][0]
                check.require(path["path"] == "65010" and path["nexthops"][0]["ip"] == LOOPBACK, f"instance {number}: {prefix} is {path}")
            wait_for(lambda frr=frr: ADVERTISED in frr.show(f"show bgp ipv4 unicast neighbors {LOOPBACK} advertised-routes")["advertisedRoutes"],
                     f"{ADVERTISED} to be advertised by instance {number}", 30, every=0.1)
        paths = self.csr_frr.wait_route(ADVERTISED, next_hops=len(WAYS))["nexthops"]
        through = sorted(hop["interfaceName"] for hop in paths if "interfaceName" in hop)
        return f"learned {', '.join(LEARNED)} (65010); advertised {ADVERTISED} (65000), at the office by {' and '.join(through)}"

    def _mss_of_a_connection(self):
        """MSS of the SYN as the office's host receives it, and of the answer as the VNet's host does."""
        watch = "tcp[tcpflags] & tcp-syn != 0"
        server = self.office_host.socket(socket.AF_INET, socket.SOCK_STREAM)
        client = self.vnet_host.socket(socket.AF_INET, socket.SOCK_STREAM)
        with server, client, Capture(self.office_host, "eth0", f"{watch} and dst host {OFFICE_HOST}") as there, \
                Capture(self.vnet_host, "eth0", f"{watch} and dst host {VNET_HOST}") as back:
            server.bind((OFFICE_HOST, 8080))
            server.listen()
            answering = threading.Thread(target=lambda: server.accept()[0].close())
            answering.start()
            client.connect((OFFICE_HOST, 8080))
            answering.join()
        from scapy.layers import inet  # pylint: disable=import-outside-toplevel

        packets = [capture.packets()[0] for capture in (there, back)]
        return [dict(packet[inet.TCP].options).get("MSS", 0) for packet in packets]

    def _both_carry(self, check):
        def counts():
            rows = [gateway.tunnel("onprem") for gateway, *_ in self.instances]
            return [[row.out_bytes for row in rows], [row.in_bytes for row in rows]]

        flow = Flow(self.lab, self.vnet_host, VNET_HOST, self.office_host, OFFICE_HOST, flows=256, rate=400).start()
        flow.wait_whole()
        then = counts()
        flow.wait_whole(2)
        now = counts()
        flow.stop()
        text = []
        for way, before, after in zip(("out", "in"), then, now):
            grown = [last - first for first, last in zip(before, after)]
            check.require(min(grown) >= LEAST_SHARE * sum(grown), f"{way}: bytes {grown}")
            text.append(f"{way} {grown[0]} and {grown[1]} bytes")
        return "; ".join(text)

    def hints(self):
        gateway, _, frr = self.instances[0]
        return [
            (self.control_command(gateway, "show", "tunnels"), "instance 0: its tunnel"),
            (self.control_command(gateway, "show", "routes"), "its routes, with those learned by BGP"),
            (f"ip netns exec {frr.namespace.name} vtysh -N {frr.name} -c 'show bgp summary' -c 'show ip route'", "its FRR"),
            (f"ip netns exec {self.csr.name} vtysh -N {self.csr_frr.name} -c 'show ip route'", "the office's router"),
            (f"ip netns exec {self.vnet_host.name} ping {OFFICE_HOST}", "to the office"),
        ]
