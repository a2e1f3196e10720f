"""The peers of the scenarios with each other: what the scenarios stand on must itself stand."""

import time

import pytest

from bird import Bird
from charon import Charon, psk_connection, psk_secret
from flow import Flow
from frr import Frr
from nat import Cut, Nat
from pki import Pki
from shell import wait_for

INSIDE = ("169.254.21.1", "169.254.21.2")


def three_in_a_row(lab, *, nat):
    """Two namespaces with a router between them, which is a NAT before the first if wanted."""
    left, middle, right = (lab.namespace(name) for name in ("left", "middle", "right"))
    lab.link(left, "wan", middle, "left")
    lab.link(right, "wan", middle, "right")
    left.address("wan", "172.20.10.210/24")
    middle.address("left", "172.20.10.1/24")
    middle.address("right", "203.0.113.4/24")
    right.address("wan", "203.0.113.46/24")
    left.route("default", "172.20.10.1")
    if nat:
        return left, middle, right, Nat(middle, "right")
    middle.forward()
    right.route("default", "203.0.113.4")
    return left, middle, right, None


def charons(lab, left, right, local=None, remote=None):
    """Two stock charons with a tunnel between the inside addresses; the left one initiates."""
    made = []
    for space, ends, inside, auth in (
        (left, ("172.20.10.210", "203.0.113.46"), INSIDE[0], (local, remote)),
        (right, ("203.0.113.46", "%any"), INSIDE[1], (remote, local)),
    ):
        connection = psk_connection(ends[0], ends[1], "left" if space is left else "right", "right" if space is left else "left")
        if auth[0]:
            connection["local"], connection["remote"] = auth
        # A stock peer learns of a changed mapping from IKE messages only, never from ESP.
        connection |= {"mobike": False, "dpd_delay": 1 if space is left else 0}
        made.append(Charon(lab, space, connections={"site": connection}, secrets={"ike-1": psk_secret("left", "right")},
                           inside=[f"{inside}/30"]))
    return made


def test_charons_carry_probes_and_follow_a_nat(lab):
    """A tunnel through a NAT; the mapping changes its port, and the stream goes on. Cut off it stops, mended it returns."""
    left, middle, right, nat = three_in_a_row(lab, nat=True)
    initiator, responder = charons(lab, left, right)
    responder.start()
    initiator.start()
    initiator.initiate("net")
    assert initiator.wait_established("site")[0]["remote-host"] == "203.0.113.46"
    responder.wait_children("net")

    flow = Flow(lab, left, INSIDE[0], right, INSIDE[1], flows=8, rate=200).start()
    flow.wait_whole()
    port = responder.established()[0]["remote-port"]
    assert 20000 <= int(port) <= 29999
    nat.remap(30000, 39999)
    flow.wait_whole()
    wait_for(lambda: int(responder.established()[0]["remote-port"]) >= 30000, "the new port at the responder")

    with flow.window() as window, Cut(middle, "udp dport 30000-39999", "udp sport 30000-39999", "udp dport 4500"):
        cut_at = time.monotonic()  # losses of the changed port before do not count
        wait_for(lambda: all(result.lost > 50 for result in flow.report(cut_at).values()), "losses both ways", 60)
    assert window.report["forward"].lost > 0 and window.report["backward"].lost > 0
    assert "lost within" in str(window.report)
    flow.wait_whole()
    assert int(initiator.children("net")[0]["bytes-in"]) > 0


def test_charons_with_certificates(lab):
    """Both show certificates of one authority; a peer that trusts another authority is refused."""
    left, _, right, _ = three_in_a_row(lab, nat=False)
    initiator, responder = charons(lab, left, right)
    authority = Pki()
    for mine, other, name in ((initiator, responder, "left.example"), (responder, initiator, "right.example")):
        mine.connections["site"]["local"] = {"auth": "pubkey", "certs": authority.certify(mine, name), "id": name}
        other.connections["site"]["remote"] = {"auth": "pubkey", "id": name}
    responder.start()
    initiator.start()
    initiator.initiate("net")
    assert responder.wait_established()[0]["remote-id"] == "left.example"
    initiator.terminate(ike="site")

    Pki().trust(responder)
    responder.restart()
    assert "AUTHENTICATION_FAILED" in initiator.initiate("net", check=False)


@pytest.mark.parametrize("kill", ["bgpd", "zebra"])
def test_frr_and_bird_exchange_routes(lab, kill):
    """BGP and BFD between FRR and BIRD; a killed daemon of FRR comes back and learns again."""
    left, right = lab.namespace("frr"), lab.namespace("bird")
    lab.link(left, "wan", right, "wan")
    left.address("wan", "192.0.2.1/24")
    right.address("wan", "192.0.2.2/24")
    frr = Frr(lab, left, """
router bgp 65000
 no bgp ebgp-requires-policy
 timers bgp 1 6
 neighbor 192.0.2.2 remote-as 65010
 neighbor 192.0.2.2 bfd
 neighbor 192.0.2.2 timers connect 1
 address-family ipv4 unicast
  network 10.1.0.0/16
 exit-address-family
!
ip route 10.1.0.0/16 blackhole
""").start()
    bird = Bird(lab, right, """
router id 192.0.2.2;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol static { ipv4; route 10.2.0.0/16 blackhole; }
protocol bfd { interface "wan" { min rx interval 300 ms; min tx interval 300 ms; }; }
protocol bgp frr {
  local 192.0.2.2 as 65010;
  neighbor 192.0.2.1 as 65000;
  bfd on;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export all; };
}
""").start()
    frr.wait_bgp("192.0.2.2")
    bird.wait_bgp("frr")
    frr.wait_bfd("192.0.2.2")
    frr.wait_route("10.2.0.0/16")
    wait_for(lambda: "10.1.0.0/16 via 192.0.2.1" in right.run("ip", "route"), "FRR's prefix in BIRD's kernel")

    frr.kill(kill)
    assert not frr.running()
    frr.start(kill)
    frr.wait_bgp("192.0.2.2")
    frr.wait_route("10.2.0.0/16")
