"""Networks of namespaces with Penstock gateways in them: what the demo and the scenario tests stand on."""

import atexit
import contextlib
import ctypes
import itertools
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile

import yaml

from client import ControlClient, EventStream, Refused, SaClient
from shell import run, wait_for
from traffic import Capture

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_folder():
    """The folder with the built programs; PENSTOCK_BUILD names another than build/."""
    return pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build"))


class Namespace:
    """One network namespace: a host, a router or the place of a gateway."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command, **options):
        """Runs a command inside and returns its output."""
        return run("ip", "netns", "exec", self.name, *command, **options)

    def popen(self, *command, **options):
        """Starts a command inside."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *[str(word) for word in command]], **options)

    @contextlib.contextmanager
    def entered(self):
        """Inside the block this thread is in the namespace: sockets made there stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", encoding="ascii") as before, open(f"/run/netns/{self.name}", encoding="ascii") as here:
            if libc.setns(here.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter namespace {self.name}")
            try:
                yield
            finally:
                libc.setns(before.fileno(), 0)

    def socket(self, *arguments):
        """A socket of this namespace."""
        with self.entered():
            made = socket.socket(*arguments)
        made.settimeout(10)
        return made

    def frames(self, device):
        """A raw socket that sends and receives whole Ethernet frames on a device."""
        raw = self.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((device, 0))
        return raw

    def mac(self, device):
        """The link address of a device."""
        return self.run("cat", f"/sys/class/net/{device}/address").strip()

    def address(self, device, *addresses):
        """Puts addresses on a device; IPv6 ones are usable at once."""
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            self.run("ip", "address", "add", address, "dev", device, *nodad)

    def route(self, prefix, via):
        """Adds a route through a gateway."""
        family = "-6" if ":" in via else "-4"
        self.run("ip", family, "route", "replace", prefix, "via", via)

    def forward(self):
        """Makes it a router."""
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.run("sysctl", "-qw", f"{name}=1")

    def close(self):
        """Ends everything that runs inside, then removes it."""
        for pid in run("ip", "netns", "pids", self.name, check=False).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run("ip", "netns", "del", self.name, check=False)


class Gateway:
    """A penstockd in a namespace, with its configuration and its sockets."""

    def __init__(self, namespace, config, folder):
        self.namespace = namespace
        self.name = config["instance"]
        self.config = config
        self.folder = pathlib.Path(folder) / self.name
        self.folder.mkdir(parents=True)
        self.config.setdefault("sockets", {})["directory"] = str(self.folder)
        self.config.setdefault("workers", {}).setdefault("pin", False)
        self.config["workers"].setdefault("hugepages", "no")  # other runs on the machine may take them meanwhile
        self.file = self.folder / "penstock.yaml"
        self.log = self.folder / "penstockd.log"
        self.process = None
        self.control = None
        self.sa = None

    def start(self, timeout=30):
        """Starts the daemon and waits until it answers."""
        self.write_config()
        with open(self.log, "ab") as log:
            self.process = self.namespace.popen(
                build_folder() / "dataplane" / "penstockd", "--config", self.file,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        wait_for(self._ready, f"gateway {self.name} to answer; its log:\n{self.log}", timeout)
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"penstockd of {self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
        try:
            self.control = ControlClient(self.folder / "control.sock")
            self.sa = SaClient(self.folder / "sa.sock")
            return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM, timeout=15):
        """Ends the daemon and returns its exit status."""
        self.process.send_signal(sig)
        status = self.process.wait(timeout)
        self.process = None
        return status

    def restart(self, sig=signal.SIGTERM):
        """Ends the daemon and starts it again."""
        self.stop(sig)
        return self.start()

    def write_config(self):
        """Writes the configuration as it is in `config` now; the daemon reads it at the next reload."""
        self.file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def ctl(self, *words, check=True):
        """Runs penstockctl against this gateway."""
        return run(build_folder() / "dataplane" / "penstockctl", "--socket", self.folder / "control.sock", *words, check=check)

    def events(self):
        """A stream of events from now on."""
        return EventStream(self.folder / "control.sock")

    def drops(self, *ignored):
        """Drop reasons with their counts, but for those named."""
        return {drop.reason: drop.packets for drop in self.control.show("drops") if drop.reason not in ignored}

    def tunnel(self, name):
        """One row of show tunnels."""
        return next(row for row in self.control.show("tunnels") if row.name == name)

    def sas(self):
        """All SAs by (direction, SPI)."""
        return {(row.direction, row.spi): row for row in self.control.show("sas")}

    def running(self):
        """True while the daemon is there."""
        return self.process is not None and self.process.poll() is None

    def settle(self):
        """Waits until every packet is accounted for."""
        try:
            wait_for(self.balanced, "balance", 5)
        except TimeoutError:
            raise AssertionError(f"{self.name}: counters do not agree\n{self.control.counters()}") from None

    def balanced(self):
        """True when every packet is accounted for."""
        return self.control.counters().difference_packets == 0


class Site:
    """A gateway with one host behind it."""

    def __init__(self, gateway, host, host_address, host_address6):
        self.gateway = gateway
        self.host = host
        self.host_address = host_address
        self.host_address6 = host_address6


class SaPair:
    """The SAs of one tunnel in both directions between two gateways, with keys of their own."""

    KEY_BYTES = {
        "aes-gcm-16-128": 20, "aes-gcm-16-192": 28, "aes-gcm-16-256": 36, "chacha20-poly1305": 36,
        "aes-gmac-128": 20, "aes-gmac-192": 28, "aes-gmac-256": 36,
    }
    HMAC_BYTES = {"hmac-sha1-96": 20, "hmac-sha2-256-128": 32, "hmac-sha2-384-192": 48, "hmac-sha2-512-256": 64}

    @classmethod
    def key_for(cls, suite):
        """Random key bytes of the right length: cipher key (with salt), then integrity key."""
        if suite in cls.KEY_BYTES:
            return secrets.token_bytes(cls.KEY_BYTES[suite])
        cipher, hmac = suite.split("-hmac", 1)
        cipher_bytes = 0 if cipher == "null" else int(cipher.rsplit("-", 1)[1]) // 8
        return secrets.token_bytes(cipher_bytes + cls.HMAC_BYTES["hmac" + hmac])

    def __init__(self, left, right, tunnel="tun1", spi=0x1001, suite="aes-gcm-16-256", **options):
        self.spi_out, self.spi_in = spi, spi + 0x10000
        self.ends = (left, right)
        keys = self.key_for(suite), self.key_for(suite)
        self.keys = keys
        self.tunnel = tunnel
        self.removed = False
        # Receivers first, so that nothing arrives unexpected.
        for end, direction, spi_of, key in (
            (right, "in", self.spi_out, keys[0]), (left, "in", self.spi_in, keys[1]),
            (left, "out", self.spi_out, keys[0]), (right, "out", self.spi_in, keys[1]),
        ):
            end.control.add_sa(tunnel=tunnel, direction=direction, spi=spi_of, suite=suite, key=key, **options)

    def remove(self):
        """Takes all four SAs away, senders first."""
        if self.removed:
            return
        self.removed = True
        left, right = self.ends
        for end, direction, spi in (
            (left, "out", self.spi_out), (right, "out", self.spi_in), (left, "in", self.spi_in), (right, "in", self.spi_out),
        ):
            try:
                end.control.delete_sa(spi, direction)
            except (Refused, ConnectionError, OSError):
                pass  # the test itself, a limit or the daemon's end took it


class Lab:
    """Builds namespaces, links and gateways, and takes them away again."""

    # What must never be seen on the wire with these addresses in the outermost header.
    CLEAR = (
        "(ip and (net 10.1.0.0/24 or net 10.2.0.0/24)) or "
        "(ip6 and (net 2001:db8:1::/64 or net 2001:db8:2::/64))"
    )

    def __init__(self, prefix="", keep=False):
        self.prefix = prefix
        self.keep = keep
        self.namespaces = []
        self.gateways = []
        self.peers = []  # other daemons and streams (tests/peers): what has close() and log()
        self.sites = []
        self.wire = None
        self.router = None
        self.folder = tempfile.mkdtemp(prefix="penstock-lab-")
        self._clear = None
        self._pairs = []
        self._spis = itertools.count(0x1001)
        self._drops_before = {}
        atexit.register(self.close)

    def namespace(self, name):
        """A new namespace; one of that name that a killed run left is removed first."""
        name = self.prefix + name
        if name in run("ip", "netns", "list").split():
            for pid in run("ip", "netns", "pids", name, check=False).split():
                os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", name)
        space = Namespace(name)
        self.namespaces.append(space)
        return space

    @staticmethod
    def link(left, left_device, right, right_device, mtu=1500):
        """A wire between two namespaces; offloads are off, so that what arrives is what was sent."""
        run("ip", "link", "add", left_device, "netns", left.name, "type", "veth", "peer", "name", right_device, "netns", right.name)
        for space, device in ((left, left_device), (right, right_device)):
            space.run("sysctl", "-qw", f"net.ipv6.conf.{device}.accept_dad=0", check=False)
            space.run("ethtool", "-K", device, "tx", "off", "rx", "off", "gso", "off", "tso", "off", "gro", "off", check=False)
            space.run("ip", "link", "set", device, "mtu", mtu, "up")

    def gateway(self, namespace, config, start=True):
        """A gateway in a namespace, running unless told otherwise."""
        gateway = Gateway(namespace, config, self.folder)
        self.gateways.append(gateway)
        return gateway.start() if start else gateway

    def site_to_site(self, outer=4, mtu=1500, tunnels=1, left_extra=None, right_extra=None, tunnel_options=None,
                     between=None, far_mtu=1500, start=True):
        """Two gateways on one wire with a host behind each; IPv4 and IPv6 inside, `outer` outside.

        Left: 10.1.0.0/24 and 2001:db8:1::/64, right: 10.2.0.0/24 and 2001:db8:2::/64; wire 192.0.2.0/24
        and 2001:db8:ff::/64. Tunnels are tun1, tun2, ... with if_id 1, 2, ...; routes use all of them.
        With `between` a router (192.0.2.254) stands before the right gateway: "router" forwards to
        198.51.100.2 (2001:db8:fe::2) over a link of `far_mtu`, "nat" hides 172.20.10.2 (fd00:20::2) behind
        its own address.
        """
        wire = self.namespace("wire")
        wire.run("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        wire.run("ip", "link", "set", "bridge", "mtu", mtu, "up")
        self.wire = wire
        near = ("192.0.2.{}", "2001:db8:ff::{}")
        far = {None: near, "router": ("198.51.100.{}", "2001:db8:fe::{}"), "nat": ("172.20.10.{}", "fd00:20::{}")}[between]
        index = 0 if outer == 4 else 1
        left_outside, right_outside = near[index].format(1), far[index].format(2)
        seen_from_left = near[index].format("254" if outer == 4 else "fe") if between == "nat" else right_outside
        ways = {1: [], 2: []}
        if between:
            self._router(near, far, mtu, far_mtu)
            ways[2] = [{"prefix": "0.0.0.0/0", "via": [{"address": far[0].format(254)}]},
                       {"prefix": "::/0", "via": [{"address": far[1].format("fe")}]}]
        if between == "router":
            ways[1] = [{"prefix": "198.51.100.0/24", "via": [{"address": "192.0.2.254"}]},
                       {"prefix": "2001:db8:fe::/64", "via": [{"address": "2001:db8:ff::fe"}]}]
        self.sites = []
        for number, name, extra, ends, network, link_mtu in (
            (1, "left", left_extra, (left_outside, seen_from_left), near, mtu),
            (2, "right", right_extra, (right_outside, left_outside), far, far_mtu if between else mtu),
        ):
            space, host = self._host(number, name, mtu)
            if between and number == 2:
                self.link(space, "eth1", self.router, "far", far_mtu)
                self.router.address("far", far[0].format(254) + "/24", far[1].format("fe") + "/64")
            else:
                self.link(space, "eth1", wire, name, mtu)
                wire.run("ip", "link", "set", name, "master", "bridge")
            config = self._site_config(number, self.prefix + name, ends, network, (mtu, link_mtu), tunnels, tunnel_options or {})
            config["routes"] += ways[number]
            config.update(extra or {})
            self.sites.append(
                Site(self.gateway(space, config, start), host, f"10.{number}.0.10", f"2001:db8:{number}::10")
            )
        if not self.keep:
            self._clear = Capture(wire, "bridge", self.CLEAR)
        if start:
            self.mark()
        return self.sites

    def _router(self, near, far, mtu, far_mtu):
        self.router = self.namespace("router")
        self.link(self.router, "near", self.wire, "router", mtu)
        self.wire.run("ip", "link", "set", "router", "master", "bridge")
        self.router.address("near", near[0].format(254) + "/24", near[1].format("fe") + "/64")
        self.router.forward()
        if far[0].startswith("172."):
            self.masquerade("")

    def masquerade(self, ports):
        """(Re)writes the router's NAT: `ports` is "" or "to :5000-5999". Mappings made before are forgotten."""
        rules = "".join(
            f"table {family} nat {{\nchain out {{\ntype nat hook postrouting priority srcnat\n"
            f"oifname near meta l4proto udp masquerade {ports}\noifname near masquerade\n}}\n}}\n"
            for family in ("ip", "ip6")
        )
        self.router.run("nft", "-f", "-", text_input="flush ruleset\n" + rules)
        # Masquerading forgets its mappings when the device goes down.
        self.router.run("sysctl", "-qw", "net.ipv6.conf.near.keep_addr_on_down=1")
        self.router.run("ip", "link", "set", "near", "down")
        self.router.run("ip", "link", "set", "near", "up")

    def _host(self, number, name, mtu):
        space, host = self.namespace(name), self.namespace(name + "-host")
        self.link(space, "eth0", host, "eth0", mtu)
        host.address("eth0", f"10.{number}.0.10/24", f"2001:db8:{number}::10/64")
        host.route("default", f"10.{number}.0.1")
        host.route("default", f"2001:db8:{number}::1")
        return space, host

    @staticmethod
    def _site_config(number, name, ends, network, mtus, tunnels, tunnel_options):
        peer = 3 - number
        via = [{"tunnel": f"tun{i + 1}"} for i in range(tunnels)]
        return {
            "instance": name,
            "ports": [
                {"name": "lan0", "device": "af_packet,iface=eth0", "mtu": mtus[0],
                 "addresses": [f"10.{number}.0.1/24", f"2001:db8:{number}::1/64"]},
                {"name": "wan0", "device": "af_packet,iface=eth1", "mtu": mtus[1],
                 "addresses": [network[0].format(number) + "/24", network[1].format(number) + "/64"]},
            ],
            "tunnels": [
                {"name": f"tun{i + 1}", "if_id": i + 1, "local": ends[0], "remote": ends[1], **tunnel_options}
                for i in range(tunnels)
            ],
            "routes": [
                {"prefix": f"10.{peer}.0.0/24", "via": list(via)},
                {"prefix": f"2001:db8:{peer}::/64", "via": list(via)},
            ],
            "protected": [f"10.{peer}.0.0/24", f"2001:db8:{peer}::/64"],
        }

    def pair(self, tunnel="tun1", **options):
        """Fresh SAs in both directions between the two sites; they go after the test."""
        made = SaPair(self.sites[0].gateway, self.sites[1].gateway, tunnel, next(self._spis), **options)
        self._pairs.append(made)
        return made

    def mark(self):
        """From here on drops count for `verify`."""
        self._drops_before = {gateway.name: gateway.drops() for gateway in self.gateways if gateway.running()}

    def verify(self, allowed=()):
        """What holds after every scenario: nothing in clear, all packets counted, no drop but the allowed ones."""
        running = [gateway for gateway in self.gateways if gateway.running()]
        for gateway in running:
            gateway.settle()
        leaked = self._clear.path if self._clear and os.path.getsize(self._clear.path) > 24 else None
        assert not leaked, "in clear on the wire:\n" + run("tcpdump", "-nr", leaked, check=False)
        for gateway in running:
            before = self._drops_before.get(gateway.name, {})
            new = {reason: count - before.get(reason, 0) for reason, count in gateway.drops(*allowed).items()}
            new = {reason: count for reason, count in new.items() if count > 0}
            assert not new, f"{gateway.name} dropped {new}\n" + str(gateway.control.show("drops"))

    def clean(self):
        """Takes away the SAs that `pair` made."""
        for pair in self._pairs:
            pair.remove()
        self._pairs.clear()

    def logs(self):
        """The logs of gateways and peers, for a failed test's report."""
        texts = [(gateway.name, gateway.log.read_text()) for gateway in self.gateways if gateway.log.exists()]
        texts += [(f"{type(peer).__name__} of {peer.name}", peer.log()) for peer in self.peers if hasattr(peer, "log")]
        return "\n".join(f"--- {name}\n{text[-4000:]}" for name, text in texts)

    def close(self):
        """Ends gateways and peers, and removes the namespaces and files."""
        if self.keep:
            return
        for peer in reversed(self.peers):
            peer.close()
        self.peers.clear()
        if self._clear:
            self._clear.stop()
            self._clear = None
        for gateway in self.gateways:
            if gateway.running():
                try:
                    gateway.stop()
                except subprocess.TimeoutExpired:
                    gateway.process.kill()
        self.gateways.clear()
        for space in self.namespaces:
            space.close()
        self.namespaces.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
