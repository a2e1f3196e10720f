"""Daemons come and go: charon, the gateway, both; what is lost is negotiated anew, what is alive goes on."""

import signal

from shell import wait_for


def spis(gateway):
    """SPIs of all SAs."""
    return {sa.spi for sa in gateway.control.show("sas")}


def test_charon_killed_traffic_goes_on(pair):
    """The gateway does not need charon for what is negotiated; the next charon takes over."""
    pair.up()
    flow = pair.flow()
    old = spis(pair.gateway)
    with flow.window() as window:
        pair.left_charon.kill()
        flow.wait_whole()
        assert spis(pair.gateway) == old
    print(window.report)
    assert window.report.lost == 0
    pair.left_charon.start()
    pair.left_charon.initiate("net")
    wait_for(lambda: spis(pair.gateway) - old, "new SAs", 30)
    print(f"the next charon: back after {flow.wait_whole():.1f} s")
    for gateway in pair.lab.gateways:
        gateway.sa.call("flush_sas")
        gateway.sa.call("flush_policies")


def test_charon_stopped_in_peace_takes_its_sas_along(pair):
    """It says goodbye to the peer, and leaves nothing behind in either gateway."""
    pair.up()
    pair.left_charon.stop()
    for gateway in pair.lab.gateways:
        wait_for(lambda who=gateway: not who.control.show("sas"), f"no SA in {gateway.name}", 30)


def back_after(pair, flow, old):
    """Waits for new SAs with new SPIs and for the traffic; prints how long it took."""
    wait_for(lambda: pair.left_charon.children("net") and spis(pair.gateway) and not spis(pair.gateway) & old, "new SAs only", 60)
    print(f"traffic is back after {flow.wait_whole():.1f} s more")


def test_gateway_killed_everything_is_negotiated_anew(pair):
    """Its charon hears of the lost SAs when the gateway is back: no key, and so no counter, is used twice."""
    pair.up()
    flow = pair.flow()
    old = spis(pair.gateway)
    pair.gateway.restart(signal.SIGKILL)
    back_after(pair, flow, old)
    assert "it has lost" in pair.left_charon.log()


def test_gateway_killed_ikev1(pair):
    """The same where the old protocol knows no recreation."""
    pair.load(both={"version": 1})
    pair.up()
    flow = pair.flow()
    old = spis(pair.gateway)
    pair.gateway.restart(signal.SIGKILL)
    back_after(pair, flow, old)


def test_gateway_and_charon_killed(pair):
    """Both are gone at once; the connection starts by itself."""
    pair.load(left={"child_options": {"start_action": "start"}})
    for charon in pair.charons:
        charon.wait_children("net")
    flow = pair.flow()
    old = spis(pair.gateway)
    pair.left_charon.kill()
    pair.gateway.restart(signal.SIGKILL)
    pair.left_charon.start()
    back_after(pair, flow, old)
