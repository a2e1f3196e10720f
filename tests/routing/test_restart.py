"""Daemons are killed under traffic and come back."""

import signal

import pytest

from bgp_sites import BgpSites, TUNNELS, fpm, inside, learned
from flow import Flow
from shell import wait_for


def start(lab, **options):
    """Two sites with BGP, and probes between their hosts that all arrive."""
    made = BgpSites(lab, **options)
    flow = Flow(lab, made.left.host, made.left.host_address, made.right.host, made.right.host_address, flows=16, rate=200).start()
    flow.wait_whole()
    return made, flow


def wait_fresh(gateway):
    """Waits until zebra, connected anew, has repeated all it had told."""
    wait_for(lambda: (status := fpm(gateway)).connected and status.routes and not status.stale_routes,
             f"fresh routes at {gateway.name}", 60, every=0.1)


def test_zebra_is_killed(lab):
    """Its routes go on carrying until it has told them again: nothing is lost."""
    made, flow = start(lab)
    gateway = made.left.gateway
    with flow.window() as window:
        made.frr[0].kill("zebra")
        wait_for(lambda: not fpm(gateway).connected, "the end of the connection", 30)
        assert learned(gateway, "10.2.0.0/24")
        made.frr[0].start("zebra")
        wait_fresh(gateway)
        made.wait_learned()
        flow.wait_whole()
    print(f"zebra killed: {window.report}")
    assert window.report.lost == 0, str(window.report)
    assert fpm(gateway).connections >= 2


def test_bgpd_is_killed(lab):
    """Graceful restart: both ends keep what they had until it is told again, and nothing is lost.

    FRR 8.4's bgpd tells zebra as soon as the first session is up that all is learned; zebra withdraws then what is
    still missing, and gets it again when all sessions are up. The hold bridges that.
    """
    made, flow = start(lab, withdraw_hold_milliseconds=10000)
    with flow.window() as window:
        made.frr[0].kill("bgpd")
        wait_for(lambda: "Established" not in {made.frr[1].bgp_state(peer) for peer in made.neighbors(2)}, "the sessions' end", 60)
        made.frr[0].start("bgpd")
        made.wait_learned()
        flow.wait_whole()
    print(f"bgpd killed: {window.report}")
    assert window.report.lost == 0, str(window.report)


# Its BFD sessions go silent, and the other end leaves the tunnels: fail closed until they are back.
@pytest.mark.drops("protected_prefix", "no_route")
def test_bfdd_is_killed(lab):
    """The other end takes silence for a failure and withdraws; all is back when bfdd is."""
    made, flow = start(lab, bfd=True)
    peers = [inside(tunnel, 1) for tunnel in (1, 2)]
    made.frr[1].wait_bfd(*peers)
    with flow.window() as window:
        made.frr[0].kill("bfdd")
        made.frr[1].wait_bfd(*peers, up=False)
        made.frr[0].start("bfdd")
        made.wait_learned()
        made.frr[1].wait_bfd(*peers)
        flow.wait_whole()
    print(f"bfdd killed: {window.report}")


# At a start, af_packet hears other devices too until it is bound: hence not_for_us.
@pytest.mark.drops("protected_prefix", "no_route", "no_outbound_sa", "unknown_spi", "not_for_us")
def test_the_gateway_is_killed(lab):
    """No SA or route outlives the daemon; the new one learns all routes from the same zebra, without its help."""
    made, flow = start(lab)
    gateway = made.left.gateway
    with flow.window() as window:
        gateway.stop(signal.SIGKILL)
        lab.clean()
        gateway.start()
        for tunnel in TUNNELS:
            lab.pair(tunnel)
        made.wait_learned()
        wait_fresh(gateway)
        flow.wait_whole()
    print(f"penstockd killed: {window.report}")
    assert window.report.lost > 0
