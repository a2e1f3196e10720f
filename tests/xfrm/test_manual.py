"""SAs made by hand on both sides: Penstock against the kernel's own ESP."""

import secrets

import pytest

from lab import SaPair
from shell import wait_for
from site_of_guest import GUEST_INSIDE, NETWORKS, OUTSIDE, TUNNELS
from traffic import Capture, ping

HMACS = {"hmac-sha1-96": ("sha1", 96), "hmac-sha2-256-128": ("sha256", 128), "hmac-sha2-384-192": ("sha384", 192),
         "hmac-sha2-512-256": ("sha512", 256)}


def algorithm(suite, key):
    """A suite in the words of ip xfrm."""
    if suite.startswith("aes-gcm-16"):
        return f"aead 'rfc4106(gcm(aes))' 0x{key.hex()} 128"
    if suite == "chacha20-poly1305":
        return f"aead 'rfc7539esp(chacha20,poly1305)' 0x{key.hex()} 128"
    cipher, hmac = suite.split("-hmac", 1)
    cipher_bytes = int(cipher.rsplit("-", 1)[1]) // 8
    name, bits = HMACS["hmac" + hmac]
    return (f"enc 'cbc(aes)' 0x{key[:cipher_bytes].hex()} "
            f"auth-trunc 'hmac({name})' 0x{key[cipher_bytes:].hex()} {bits}")


class KernelPair:
    """An SA in each direction, with the kernel's policies for both inner families."""

    # pylint: disable-next=too-many-arguments
    def __init__(self, site, suite, outer=4, *, udp=False, esn=False, window=64, interface=False):
        self.site = site
        self.here, self.there = OUTSIDE[outer]
        self.spis = {"out": secrets.randbelow(1 << 30) + 4096, "in": secrets.randbelow(1 << 30) + (1 << 30)}
        keys = {direction: SaPair.key_for(suite) for direction in self.spis}
        site.steer(outer)
        for direction, spi in self.spis.items():
            site.gateway.control.add_sa(
                tunnel=TUNNELS[outer], direction=direction, spi=spi, suite=suite, key=keys[direction], udp_encapsulation=udp,
                esn=esn, **({"replay_window_packets": window} if direction == "in" else {}))
        options = f"mode tunnel replay-window {window} flag af-unspec" + (" esn" if esn else "")
        if udp:
            options += f" encap espinudp 4500 4500 {'0.0.0.0' if outer == 4 else '::'}"
        binding = ""
        if interface:
            binding = "if_id 1"
            site.guest.run(f"ip link add ipsec1 type xfrm dev eth0 {binding} && ip link set ipsec1 up mtu 1400\n"
                           f"ip route replace {NETWORKS[4][0]} dev ipsec1 src {GUEST_INSIDE[4]}\n"
                           f"ip -6 route replace {NETWORKS[6][0]} dev ipsec1 src {GUEST_INSIDE[6]}")
        for direction, source, destination in (("out", self.here, self.there), ("in", self.there, self.here)):
            site.guest.run(f"ip xfrm state add src {source} dst {destination} proto esp spi {self.spis[direction]} reqid 1 "
                           f"{options} {binding} {algorithm(suite, keys[direction])}")
        for near, far in NETWORKS.values():
            site.guest.run(
                f"ip xfrm policy add dir out src {far} dst {near} {binding} "
                f"tmpl src {self.there} dst {self.here} proto esp reqid 1 mode tunnel && "
                f"ip xfrm policy add dir in src {near} dst {far} {binding} "
                f"tmpl src {self.here} dst {self.there} proto esp reqid 1 mode tunnel")

    def packets(self, direction):
        """How many the gateway has counted."""
        return self.site.gateway.sas()[(direction, self.spis[direction])].packets

    def remove(self):
        """Takes the gateway's SAs away; the guest's go with the next test."""
        for direction, spi in self.spis.items():
            self.site.gateway.control.delete_sa(spi, direction)


@pytest.fixture
def pair(site):
    """Makes pairs that go after the test."""
    made = []

    def make(*arguments, **options):
        made.append(KernelPair(site, *arguments, **options))
        return made[-1]
    yield make
    for one in made:
        one.remove()


@pytest.mark.parametrize("suite", [
    "aes-gcm-16-128", "aes-gcm-16-256", "chacha20-poly1305", "aes-cbc-128-hmac-sha1-96", "aes-cbc-256-hmac-sha1-96",
    "aes-cbc-256-hmac-sha2-256-128", "aes-cbc-128-hmac-sha2-384-192", "aes-cbc-256-hmac-sha2-512-256"])
def test_suites(site, pair, suite):
    made = pair(suite)
    site.ping_both_ways(sizes=(0, 57, 1300))
    assert (made.packets("out"), made.packets("in")) == (18, 18)


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("interface", [False, True], ids=["policies", "interface"])
def test_families(site, pair, outer, inner, interface):
    pair("aes-gcm-16-128", outer, interface=interface)
    site.ping_both_ways(inner)


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_udp_encapsulation(site, pair, outer):
    site.start_charon()
    pair("aes-cbc-256-hmac-sha2-256-128", outer, udp=True)
    with Capture(site.lab.wire, "bridge") as wire:
        site.ping_both_ways()
    assert wire.count("udp.port == 4500 && udpencap") >= 24
    assert wire.count("ip.proto == 50 || ipv6.nxt == 50") == 0


@pytest.mark.drops("replay_duplicate")
@pytest.mark.parametrize("esn, window", [(False, 32), (True, 32), (True, 128), (True, 1024), (True, 4096)])
def test_extended_numbers_and_replay_windows(site, pair, esn, window):
    """Also what was sent twice: each side drops the second one."""
    made = pair("aes-gcm-16-256", esn=esn, window=window)
    refused = site.guest.run("awk '/XfrmInStateSeqError/ {print $2}' /proc/net/xfrm_stat")
    dropped = site.gateway.drops().get("replay_duplicate", 0)
    with Capture(site.lab.wire, "bridge", "esp") as wire:
        site.ping_both_ways(sizes=(56,))
        wait_for(lambda: len(wire.packets()) >= 12, "the packets in the capture")
    with site.lab.wire.frames("bridge") as sender:
        for frame in wire.packets():
            sender.send(bytes(frame))
    wait_for(lambda: site.gateway.drops().get("replay_duplicate", 0) - dropped == 6, "six refusals of the gateway", 30)

    def refused_there():
        now = site.guest.run("awk '/XfrmInStateSeqError/ {print $2}' /proc/net/xfrm_stat")
        return int(now) - int(refused) == 6
    wait_for(refused_there, "six refusals of the kernel", 30, every=0.2)
    assert (made.packets("out"), made.packets("in")) == (6, 6)


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_dscp_and_ecn_are_those_of_the_inner_packet(site, pair, outer):
    """Both sides copy them outwards (RFC 2983, RFC 6040) and leave the inner ones alone."""
    pair("aes-gcm-16-128", outer)
    field = "ip.dsfield" if outer == 4 else "ipv6.tclass"
    esp = "ip.proto == 50" if outer == 4 else "ipv6.nxt == 50"
    for traffic_class in (0xb8, 0x2a):  # EF; AF11 with ECT(0)
        options = ["-Q", traffic_class]
        with Capture(site.lab.wire, "bridge") as wire, Capture(site.host, "eth0", "icmp") as inside:
            ping(site.host, GUEST_INSIDE[4], count=3, options=options)
            site.ping_host(count=3, options=options)
            wait_for(lambda wire=wire: wire.count(esp) >= 12, "the packets in the capture")
        assert wire.count(f"{esp} && {field} == {traffic_class}") == wire.count(esp)
        assert inside.count(f"icmp && ip.dsfield == {traffic_class}") == inside.count("icmp") == 12
