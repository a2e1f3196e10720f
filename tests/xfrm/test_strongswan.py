"""strongSwan on both sides: over the kernel's ESP in the guest, over Penstock here."""

import pytest

from charon import PLUGIN, Charon, psk_connection, psk_secret
from settings import merge, render
from shell import wait_for
from site_of_guest import GUEST_INSIDE, NETWORKS, OUTSIDE
from traffic import Capture, Ping, ping

pytestmark = pytest.mark.skipif(not PLUGIN.exists(), reason=f"{PLUGIN.name} is not built: there are no headers of strongSwan")


class GuestCharon:
    """The guest's charon, spoken to over its serial port."""

    def __init__(self, site, connections):
        self.site = site
        site.start_charon()
        self.load(connections)

    def load(self, connections):
        """Replaces what it knows; SAs go."""
        config = render({"connections": connections, "secrets": {"ike-1": psk_secret("left.test", "guest.test")}})
        self.site.guest.run(f"cat > /etc/swanctl/swanctl.conf <<'END'\n{config}\nEND\nswanctl --load-all --clear --noprompt")

    def swanctl(self, words):
        """Runs swanctl in the guest."""
        return self.site.guest.run(f"swanctl {words}")


class Both:
    """One connection between the two charons, with a child SA of both inner families' own."""

    def __init__(self, site):
        self.site = site
        self.here = Charon(site.lab, site.gateway.namespace, "gateway", "penstock", sa_socket=site.gateway.folder / "sa.sock",
                           secrets={"ike-1": psk_secret("left.test", "guest.test")},
                           options={"interfaces_use": "wan0"})  # MOBIKE is not to try the inside addresses
        self.here.start(load=False)
        self.there = None

    def connect(self, outer=4, esp="aes128gcm16-esn", child=None, **options):
        """Loads both sides."""
        ends = OUTSIDE[outer]
        common = {"encap": False, "proposals": "aes128-sha256-ecp256", **options}
        self.site.steer(outer)
        near, far = ([networks[side] for networks in NETWORKS.values()] for side in (0, 1))
        number = 1 if outer == 4 else 2
        self.here.connections = {"peer": psk_connection(
            *ends, "left.test", "guest.test", **common, if_id_in=number, if_id_out=number,
            child_options=merge({"local_ts": near, "remote_ts": far, "esp_proposals": esp, "rekey_time": 0}, child or {}))}
        self.here.load()
        there = {"peer": psk_connection(
            *reversed(ends), "guest.test", "left.test", **common,
            child_options={"local_ts": far, "remote_ts": near, "esp_proposals": esp, "rekey_time": 0})}
        self.there = GuestCharon(self.site, there)

    def up(self, **options):
        """Connects and brings the child SA up from here."""
        self.connect(**options)
        self.here.initiate("net")
        self.here.wait_children("net")

    def down(self):
        """No SA on either side."""
        for sa in self.here.list_sas():
            self.here.terminate(ike=sa["name"], force=True, check=False)
        self.here.connections = {}
        self.here.load()
        wait_for(lambda: not self.here.list_sas() and not self.site.gateway.sas(), "the end of all SAs", 30, every=0.1)
        if self.there:
            self.there.swanctl("--terminate --ike peer --force >/dev/null 2>&1; true")
            self.there.load({})


@pytest.fixture(scope="module")
def daemons(guest_site):
    """Both charons, for all tests of this module."""
    guest_site.clear()
    guest_site.lab.peers = getattr(guest_site.lab, "peers", [])
    made = Both(guest_site)
    yield made
    made.here.close()


@pytest.fixture
def both(site, daemons):  # pylint: disable=redefined-outer-name
    """The two charons without SAs."""
    del site  # checks what holds after each scenario
    yield daemons
    if daemons.there:
        daemons.down()


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
def test_psk_with_extended_numbers(both, outer):
    both.up(outer=outer)
    both.site.ping_both_ways(4)
    both.site.ping_both_ways(6)
    sas = both.site.gateway.sas()
    assert [sa.esn for sa in sas.values()] == [True, True]
    assert {sa.packets for sa in sas.values()} == {24}
    assert all("net" in sa.name for sa in sas.values())
    child, = both.here.children("net")
    assert (child["packets-in"], child["packets-out"], child["esn"]) == ("24", "24", "1")
    assert "24 packets" in both.there.swanctl("--list-sas")
    assert both.site.guest.run("ip xfrm state | grep -c 'flag.*esn'").strip() == "2"


@pytest.mark.parametrize("esp", ["aes256gcm16", "aes256-sha1", "aes256-sha512", "chacha20poly1305"])
def test_suites_that_are_negotiated(both, esp):
    both.up(esp=esp)
    both.site.ping_both_ways()


def test_udp_encapsulation_that_is_asked_for(both):
    both.connect(encap=True)
    with Capture(both.site.lab.wire, "bridge") as wire:
        both.here.initiate("net")
        both.site.ping_both_ways(sizes=(56,))
    assert wire.count("udp.port == 4500 && udpencap && esp") >= 12
    assert wire.count("ip.proto == 50") == 0


def test_the_guest_initiates_and_a_trap_is_answered(both):
    """Both directions of who begins; the packet that raises the acquire arrives."""
    both.connect()
    both.there.swanctl("--initiate --child net --timeout 30")
    both.site.ping_both_ways(sizes=(56,))
    both.down()
    both.connect(child={"start_action": "trap"})
    waiting = both.site.host.popen("ping", "-n", "-c", 1, "-W", 40, GUEST_INSIDE[4])
    assert waiting.wait(timeout=60) == 0
    both.site.ping_both_ways(sizes=(56,))


@pytest.mark.parametrize("what", ["--child net", "--ike peer"], ids=["child", "ike"])
@pytest.mark.parametrize("side", ["here", "there"])
def test_rekeys_lose_nothing(both, side, what):
    both.up()
    with Ping(both.site.host, GUEST_INSIDE[4], every_ms=20) as beat:
        beat.wait_for(replies=5, timeout=30)
        for _ in range(3):
            before = set(both.site.gateway.sas())
            identity = both.here.wait_established("peer")[0]["uniqueid"]
            if side == "here":
                both.here.swanctl("--rekey", *what.split())
            else:
                both.there.swanctl(f"--rekey {what}")

            def changed(before=before, identity=identity):
                now = set(both.site.gateway.sas())
                if "child" in what:
                    return len(now - before) == 2  # the old ones are kept for a while
                sas = both.here.established("peer")
                return len(sas) == 1 and sas[0]["uniqueid"] != identity and now == before
            wait_for(changed, "the end of the rekey", 45, every=0.1)
            beat.wait_for(replies=5, timeout=30)
    assert beat.lost == 0


def move(guest, new):
    """Gives the guest another outer address in place of its own."""
    guest.run(f"ip -4 addr flush dev eth0 && ip addr add {new}/24 dev eth0 &&\n"
              f"ip route replace 10.1.0.0/24 via 192.0.2.1 src {GUEST_INSIDE[4]}")


def test_the_peer_moves_to_another_address(both):
    """MOBIKE: the SAs go on with their keys and numbers under another address."""
    both.up(mobike=True)
    before = set(both.site.gateway.sas())
    ping(both.site.host, GUEST_INSIDE[4])
    guest = both.site.guest
    try:
        move(guest, "192.0.2.3")

        def moved():
            sas = both.site.gateway.sas()
            return set(sas) == before and {sa.destination for sa in sas.values() if sa.direction == "out"} == {"192.0.2.3"}
        wait_for(moved, "the update of the SAs", 60, every=0.1)
        both.site.ping_both_ways(sizes=(56,))
    finally:
        move(guest, "192.0.2.2")
