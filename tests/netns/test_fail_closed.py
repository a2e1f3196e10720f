"""Fail closed at every corner of a protected prefix; a failed run's seed is in its output."""

import os
import random
import secrets
import socket
import threading

import pytest

from client import Refused
from shell import wait_for
from traffic import Capture, ping

# Anything of the prefixes outside of ESP, also inside of another tunnel's header.
ANYWHERE = "net 10.2.0.0/24 or net 2001:db8:2::/64 or ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41 or arp net 10.2.0.0/24"
EXPECTED_DROPS = (
    "no_outbound_sa", "no_sa", "no_route", "blackhole_route", "unreachable_route", "prohibit_route", "protected_prefix",
    "hold_queue_full", "neighbor_unresolved", "outer_unroutable",
    "not_for_us",  # a packet socket hears all devices until it is bound, at the start of a daemon
)
PREFIXES = ["0.0.0.0/0", "::/0", "10.0.0.0/8", "10.2.0.0/16", "10.2.0.0/24", "10.2.0.0/25", "10.2.0.10/32",
            "2001:db8::/32", "2001:db8:2::/64", "2001:db8:2::/96", "2001:db8:2::10/128"]


class Sender:
    """Sends UDP to every corner of the protected prefixes from a host, until the block ends."""

    def __init__(self, site):
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self):
        four = self._site.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        six = self._site.host.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with four, six:
            while not self._stop.wait(0.001):
                end = 1 + self.sent % 254
                for way, address in ((four, f"10.2.0.{end}"), (six, f"2001:db8:2::{end:x}"),
                                     (four, "10.2.0.10"), (six, "2001:db8:2::10")):
                    try:
                        way.sendto(b"protected payload", (address, 9))
                        self.sent += 1
                    except OSError:
                        pass  # an ICMP error came back: go on

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Disorder:
    """Random changes to one gateway by its control socket, by penstockctl and by Linux."""

    def __init__(self, site, dice):
        self._gateway = site.gateway
        self._dice = dice
        self._spis = []
        self._spi = 0x5000
        self._changes = [
            self.add_clear_route, self.add_clear_route, self.add_tunnel_route, self.delete_route, self.add_sa, self.add_sa,
            self.delete_sa, self.add_tunnel, self.delete_tunnel, self.toggle_device, self.refuse_route,
        ]

    def step(self):
        """One change, by name; one that cannot be made now is refused, which is an event like others."""
        change = self._dice.choice(self._changes)
        try:
            change()
        except Refused:
            pass
        return change.__name__

    def add_clear_route(self):
        """Through the outside in clear: by a neighbour or on the link."""
        prefix = self._dice.choice(PREFIXES)
        via = {"address": "2001:db8:ff::2" if ":" in prefix else "192.0.2.2"}
        if self._dice.random() < 0.3:
            via = {"port": "wan0"}
        self._gateway.control.add_route(prefix, via=[via])

    def add_tunnel_route(self):
        """Into a tunnel, perhaps one that is not there."""
        self._gateway.control.add_route(self._dice.choice(PREFIXES), via=[{"tunnel": self._dice.choice(["tun1", "second"])}])

    def refuse_route(self):
        """A route that drops."""
        self._gateway.control.add_route(self._dice.choice(PREFIXES), action=self._dice.choice(["blackhole", "unreachable", "prohibit"]))

    def delete_route(self):
        """Some route made by hand."""
        self._gateway.control.delete_route(self._dice.choice(PREFIXES))

    def add_sa(self):
        """An outbound SA that takes over."""
        self._spi += 1
        self._gateway.control.add_sa(tunnel=self._dice.choice(["tun1", "second"]), direction="out", spi=self._spi,
                                     suite="aes-gcm-16-256", key=secrets.token_bytes(36))
        self._spis.append(self._spi)

    def delete_sa(self):
        """Any of those."""
        if self._spis:
            self._gateway.control.delete_sa(self._spis.pop(self._dice.randrange(len(self._spis))), "out")

    def add_tunnel(self):
        """A second tunnel, to where nobody is."""
        self._gateway.ctl("add", "tunnel", "second", "--if-id", 2, "--local", "192.0.2.1", "--remote", "192.0.2.3", check=False)

    def delete_tunnel(self):
        """The second tunnel; its SAs go with it."""
        self._gateway.ctl("delete", "tunnel", "second", check=False)

    def toggle_device(self):
        """The tunnel's device, down and up in Linux."""
        for state in ("down", "up"):
            self._gateway.namespace.run("ip", "link", "set", "tun1", state)

    def clear(self):
        """All that was added is taken away."""
        while self._spis:
            try:
                self.delete_sa()
            except Refused:
                pass  # went with its tunnel
        self.delete_tunnel()
        for row in self._gateway.control.show("routes", source="control"):
            self._gateway.control.delete_route(row.prefix)


@pytest.mark.drops(*EXPECTED_DROPS)
@pytest.mark.parametrize("turn", range(2))
def test_no_order_of_events_lets_a_byte_out(network, turn):
    seed = int(os.environ.get("PENSTOCK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"turn {turn}, seed {seed}: PENSTOCK_SEED={seed} repeats it")
    left, right = network.sites
    disorder = Disorder(left, random.Random(seed))
    with Capture(network.wire, "bridge", ANYWHERE) as wire:
        with Sender(left) as sender:
            try:
                for _ in range(150):
                    print(disorder.step(), end=" ")
                wait_for(lambda: sender.sent > 2000, "enough packets", 30)
            finally:
                disorder.clear()
        left.gateway.settle()
    assert wire.packets() == []
    # And it still works.
    network.pair()
    ping(left.host, right.host_address)
    ping(left.host, right.host_address6)


@pytest.mark.drops(*EXPECTED_DROPS)
def test_neither_end_nor_start_of_the_daemon_lets_anything_out(lab):
    left, _ = lab.site_to_site()
    lab.pair()
    with Capture(lab.wire, "bridge", ANYWHERE) as wire, Sender(left) as sender:
        for sig in (15, 9, 15):
            before = sender.sent
            left.gateway.stop(sig)
            wait_for(lambda start=before: sender.sent > start + 200, "packets while nobody is there")
            left.gateway.start()
            wait_for(lambda start=before: sender.sent > start + 400, "packets after the start")
    assert wire.packets() == []
@pytest.mark.drops(*EXPECTED_DROPS)
def test_the_gateways_own_linux_does_not_send_in_clear_either(network):
    """A route in Linux that leads around the tunnel leads nowhere."""
    gateway = network.sites[0].gateway
    around = ("10.2.0.0/24", "via", "192.0.2.2", "dev", "wan0", "metric", 1)
    gateway.control.add_route("0.0.0.0/0", via=[{"address": "192.0.2.2"}])
    gateway.namespace.run("ip", "route", "replace", *around)
    try:
        with Capture(network.wire, "bridge", ANYWHERE) as wire:
            for _ in range(5):
                gateway.namespace.run("ping", "-c", 1, "-W", "0.2", "10.2.0.10", check=False)
            gateway.settle()
        assert wire.packets() == []
    finally:
        gateway.namespace.run("ip", "route", "del", *around)
        gateway.control.delete_route("0.0.0.0/0")


