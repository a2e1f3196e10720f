"""Networks of namespaces with Penstock gateways in them: what the demo and the scenario tests stand on."""

import atexit
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tempfile

import yaml

from client import ControlClient, SaClient
from shell import run, wait_for

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
        self.file = self.folder / "penstock.yaml"
        self.log = self.folder / "penstockd.log"
        self.process = None
        self.control = None
        self.sa = None

    def start(self, timeout=30):
        """Starts the daemon and waits until it answers."""
        self.file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        with open(self.log, "ab") as log:
            self.process = self.namespace.popen(
                build_folder() / "dataplane" / "penstockd", "--config", self.file, stdout=log, stderr=log
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

    def ctl(self, *words, check=True):
        """Runs penstockctl against this gateway."""
        return run(build_folder() / "dataplane" / "penstockctl", "--socket", self.folder / "control.sock", *words, check=check)

    def drops(self, *ignored):
        """Drop reasons with their counts, but for those named."""
        return {drop.reason: drop.packets for drop in self.control.show("drops") if drop.reason not in ignored}

    def tunnel(self, name):
        """One row of show tunnels."""
        return next(row for row in self.control.show("tunnels") if row.name == name)

    def sas(self):
        """All SAs by (direction, SPI)."""
        return {(row.direction, row.spi): row for row in self.control.show("sas")}

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
        # Receivers first, so that nothing arrives unexpected.
        for end, direction, spi_of, key in (
            (right, "in", self.spi_out, keys[0]), (left, "in", self.spi_in, keys[1]),
            (left, "out", self.spi_out, keys[0]), (right, "out", self.spi_in, keys[1]),
        ):
            end.control.add_sa(tunnel=tunnel, direction=direction, spi=spi_of, suite=suite, key=key, **options)

    def remove(self):
        """Takes all four SAs away, senders first."""
        left, right = self.ends
        for end, direction, spi in (
            (left, "out", self.spi_out), (right, "out", self.spi_in), (left, "in", self.spi_in), (right, "in", self.spi_out),
        ):
            end.control.delete_sa(spi, direction)


class Lab:
    """Builds namespaces, links and gateways, and takes them away again."""

    def __init__(self, prefix="", keep=False):
        self.prefix = prefix
        self.keep = keep
        self.namespaces = []
        self.gateways = []
        self.folder = tempfile.mkdtemp(prefix="penstock-lab-")
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

    def site_to_site(self, outer=4, mtu=1500, tunnels=1, left_extra=None, right_extra=None, tunnel_options=None):
        """Two gateways on one wire with a host behind each; IPv4 and IPv6 inside, `outer` outside.

        Left: 10.1.0.0/24 and 2001:db8:1::/64, right: 10.2.0.0/24 and 2001:db8:2::/64; wire 192.0.2.0/24
        and 2001:db8:ff::/64. Tunnels are tun1, tun2, ... with if_id 1, 2, ...; routes use all of them.
        """
        wire = self.namespace("wire")
        wire.run("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        wire.run("ip", "link", "set", "bridge", "mtu", mtu, "up")
        self.wire = wire
        sites = []
        for number, name, extra in ((1, "left", left_extra), (2, "right", right_extra)):
            sites.append(self._site(number, name, outer, mtu, tunnels, extra or {}, tunnel_options or {}))
        return sites

    def _site(self, number, name, outer, mtu, tunnels, extra, tunnel_options):
        peer = 3 - number
        space, host = self.namespace(name), self.namespace(name + "-host")
        self.link(space, "eth0", host, "eth0", mtu)
        self.link(space, "eth1", self.wire, name, mtu)
        self.wire.run("ip", "link", "set", name, "master", "bridge")
        address, address6 = f"10.{number}.0.10", f"2001:db8:{number}::10"
        host.address("eth0", address + "/24", address6 + "/64")
        host.route("default", f"10.{number}.0.1")
        host.route("default", f"2001:db8:{number}::1")
        outside = "192.0.2.{}" if outer == 4 else "2001:db8:ff::{}"
        via = [{"tunnel": f"tun{i + 1}"} for i in range(tunnels)]
        config = {
            "instance": name,
            "ports": [
                {"name": "lan0", "device": "af_packet,iface=eth0", "mtu": mtu,
                 "addresses": [f"10.{number}.0.1/24", f"2001:db8:{number}::1/64"]},
                {"name": "wan0", "device": "af_packet,iface=eth1", "mtu": mtu,
                 "addresses": [f"192.0.2.{number}/24", f"2001:db8:ff::{number}/64"]},
            ],
            "tunnels": [
                {"name": f"tun{i + 1}", "if_id": i + 1, "local": outside.format(number), "remote": outside.format(peer),
                 **tunnel_options}
                for i in range(tunnels)
            ],
            "routes": [
                {"prefix": f"10.{peer}.0.0/24", "via": via},
                {"prefix": f"2001:db8:{peer}::/64", "via": via},
            ],
            "protected": [f"10.{peer}.0.0/24", f"2001:db8:{peer}::/64"],
            **extra,
        }
        return Site(self.gateway(space, config), host, address, address6)

    def logs(self):
        """The gateways' logs, for a failed test's report."""
        return "\n".join(f"--- {gateway.name}\n{gateway.log.read_text()[-4000:]}" for gateway in self.gateways if gateway.log.exists())

    def close(self):
        """Ends the gateways and removes the namespaces and files."""
        if self.keep:
            return
        for gateway in self.gateways:
            if gateway.process is not None and gateway.process.poll() is None:
                try:
                    gateway.stop()
                except subprocess.TimeoutExpired:
                    gateway.process.kill()
        self.gateways.clear()
        for space in self.namespaces:
            space.close()
        self.namespaces.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
