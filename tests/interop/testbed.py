"""One gateway between a host and an ESP peer that are both this process; SAs come and go, the gateway stays."""

import contextlib
import ipaddress
import itertools
import secrets

from esp_peer import EspPeer
from lab import Lab
from shell import wait_for
from suites import BY_NAME
from wire import Station

HOST_MAC, PEER_MAC = "02:00:00:00:00:10", "02:00:00:00:00:02"
LOCAL = {4: "192.0.2.1", 6: "2001:db8:ff::1"}
REMOTE = {4: "192.0.2.2", 6: "2001:db8:ff::2"}
STRANGER = {4: "192.0.2.99", 6: "2001:db8:ff::99"}
HOST = {4: "10.1.0.10", 6: "2001:db8:1::10"}
# Behind the tunnel over IPv4, and behind the one over IPv6.
FAR_HOST = {4: {4: "10.4.0.20", 6: "2001:db8:4::20"}, 6: {4: "10.6.0.20", 6: "2001:db8:6::20"}}
PROTECTED = ["10.4.0.0/16", "2001:db8:4::/48", "10.6.0.0/16", "2001:db8:6::/48"]
MARK = b"FOR THE HOST BEHIND THE TUNNEL ONLY. "


def payload(length):
    """So many bytes that can be recognised on the wire, no two alike."""
    text = MARK + secrets.token_bytes(8) + MARK * (length // len(MARK) + 1)
    return text[:length]


class SaPair:
    """An SA to the peer and one from it, under one tunnel."""

    def __init__(self, testbed, suite, outer=4, udp=False, esn=False, sequence=0, **options):
        """`options` are further fields of AddSa, for both; those that are a pair in a tuple are (out, in)."""
        self.testbed = testbed
        self.suite = BY_NAME[suite]
        self.outer = outer
        self.tunnel = f"outer{outer}"
        self.spi_out, self.spi_in = next(testbed.spis), next(testbed.spis)
        ports = (4500, 4500) if udp else None
        length = self.suite.cipher_key + self.suite.integrity_key
        keys = secrets.token_bytes(length), secrets.token_bytes(length)
        common = {"suite": self.suite, "esn": esn, "ports": ports, "sequence": sequence}
        self.receiver = EspPeer(spi=self.spi_out, key=keys[0], source=LOCAL[outer], destination=REMOTE[outer], **common)
        self.sender = EspPeer(spi=self.spi_in, key=keys[1], source=REMOTE[outer], destination=LOCAL[outer], **common)
        for index, direction, spi in ((1, "in", self.spi_in), (0, "out", self.spi_out)):
            fields = {name: value[index] if isinstance(value, tuple) else value for name, value in options.items()}
            testbed.control.add_sa(
                tunnel=self.tunnel, direction=direction, spi=spi, suite=suite, key=keys[index],
                udp_encapsulation=udp, esn=esn, initial_sequence=sequence, **fields,
            )
        testbed.pairs.append(self)

    @property
    def far_host(self):
        """Addresses behind this pair's tunnel, by IP version."""
        return FAR_HOST[self.outer]

    def remove(self):
        """Takes both SAs away."""
        self.testbed.control.delete_sa(self.spi_out, "out")
        self.testbed.control.delete_sa(self.spi_in, "in")
        self.testbed.pairs.remove(self)


class Testbed:
    """The gateway with `host` and `peer`, the stations on its two wires."""

    __test__ = False  # no test class, pytest

    def __init__(self, engine):
        self.lab = Lab()
        self.spis = itertools.count(0x01001001, 0x10001)
        self.pairs = []
        place, host, peer = (self.lab.namespace(name) for name in ("gateway", "host", "peer"))
        for space, device, mac, near in ((host, "lan", HOST_MAC, "eth0"), (peer, "wan", PEER_MAC, "eth1")):
            self.lab.link(place, near, space, device)
            # Linux on the far ends says nothing of its own: no address, no IPv6, no answer.
            space.run("sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1")
            space.run("ip", "link", "set", device, "address", mac)
        self.gateway = self.lab.gateway(place, self._config(engine))
        self.host = Station(host, "lan", HOST_MAC)
        self.peer = Station(peer, "wan", PEER_MAC)
        ports = {port.name: port.mac for port in self.control.show("ports")}
        self.host.gateway_mac = bytes.fromhex(ports["lan0"].replace(":", ""))
        self.peer.gateway_mac = bytes.fromhex(ports["wan0"].replace(":", ""))
        neighbors = [("lan0", HOST_MAC, HOST.values()), ("wan0", PEER_MAC, [*REMOTE.values(), *STRANGER.values()])]
        for device, mac, addresses in neighbors:
            for address in addresses:
                place.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")
        known = len(HOST) + len(REMOTE) + len(STRANGER)
        wait_for(lambda: sum(row.permanent for row in self.control.show("neighbors")) == known, "the neighbours")

    @staticmethod
    def _config(engine):
        return {
            "instance": "interop",
            "ports": [
                {"name": "lan0", "device": "af_packet,iface=eth0", "addresses": ["10.1.0.1/24", "2001:db8:1::1/64"]},
                {"name": "wan0", "device": "af_packet,iface=eth1", "addresses": ["192.0.2.1/24", "2001:db8:ff::1/64"]},
            ],
            "tunnels": [
                {"name": f"outer{version}", "if_id": version, "local": LOCAL[version], "remote": REMOTE[version]}
                for version in (4, 6)
            ],
            "routes": [
                {"prefix": prefix, "via": [{"tunnel": tunnel}]}
                for prefix, tunnel in zip(PROTECTED, ("outer4", "outer4", "outer6", "outer6"))
            ],
            "protected": PROTECTED,
            "workers": {"engine": engine},
        }

    @property
    def control(self):
        """The gateway's control socket."""
        return self.gateway.control

    def sa_pair(self, suite="aes-gcm-16-256", **options):
        """A new pair of SAs; gone after the test."""
        return SaPair(self, suite, **options)

    def send_to_peer(self, *packets):
        """Inner packets from the host; returns what arrives at the peer, as many."""
        self.host.send(*packets)
        return self.peer.receive(len(packets))

    def send_to_host(self, *packets):
        """Outer packets from the peer; returns what arrives at the host, as many."""
        self.peer.send(*packets)
        return self.host.receive(len(packets))

    @contextlib.contextmanager
    def drops(self, **expected):
        """What is sent inside is dropped for these reasons, so many packets each, and for no other."""
        before = self.gateway.drops()

        def new():
            return {reason: count - before.get(reason, 0) for reason, count in self.gateway.drops().items()
                    if count != before.get(reason, 0)}

        yield
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: sum(new().values()) >= sum(expected.values()), "the drops", timeout=3)
        assert new() == expected

    def leaks(self):
        """Frames on the peer's wire that show something of the protected networks."""
        found = []
        hides = all(pair.suite.hides for pair in self.pairs)
        for frame in self.peer.frames:
            packet = frame[14:]
            inside = [address for far in FAR_HOST.values() for address in far.values()] + list(HOST.values())
            addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
            if any(_bytes(address) in addresses for address in inside) or (hides and MARK[:12] in frame):
                found.append(frame)
        return found

    def clean_up(self):
        """Removes all SAs and forgets what was heard."""
        for pair in list(self.pairs):
            pair.remove()
        for station in (self.host, self.peer):
            station.listen()
            station.clear()

    def close(self):
        """Ends the gateway, which must go in peace."""
        try:
            assert self.gateway.stop() == 0, self.lab.logs()
        finally:
            self.lab.close()


def _bytes(address):
    return ipaddress.ip_address(address).packed
