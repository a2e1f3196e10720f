"""Rekeying under traffic: no packet is lost, whoever begins, and whatever the reason."""

import threading

import pytest

from shell import wait_for

LIMITS = {"rand_time": 0, "rand_bytes": 0, "rand_packets": 0}


@pytest.mark.parametrize("initiator", ["gateway", "peer"])
@pytest.mark.parametrize("what", ["child", "ike"])
def test_either_side_rekeys_and_nothing_is_lost(stock, what, initiator):
    """A stock peer, child SA and IKE SA."""
    stock.up()
    flow = stock.flow()
    charon = stock.left_charon if initiator == "gateway" else stock.right_charon
    old = stock.left_charon.children("net")[0]["spi-in"], stock.left_charon.established("site")[0]["initiator-spi"]
    with flow.window() as window:
        if what == "child":
            charon.rekey(child="net")
            stock.wait_rekeyed(old[0])
        else:
            charon.rekey(ike="site")
            wait_for(lambda: [sa for sa in stock.left_charon.established("site") if sa["initiator-spi"] != old[1]], "a new IKE SA", 45)
        flow.wait_whole()
    print(window.report)
    assert window.report.lost == 0


def test_both_sides_rekey_at_once(pair):
    """The collisions are resolved by the nonces (RFC 7296 2.8.1); one child SA is left, and nothing is lost."""
    pair.up()
    flow = pair.flow()
    with flow.window() as window:
        for _ in range(4):
            old = pair.left_charon.children("net")[0]["spi-in"]
            threads = [threading.Thread(target=charon.rekey, kwargs={"child": "net"}) for charon in pair.charons]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            pair.wait_rekeyed(old)
            wait_for(lambda: all(len(charon.children("net")) == 1 for charon in pair.charons), "one child SA", 45)
        flow.wait_whole()
    print(window.report)
    assert window.report.lost == 0


@pytest.mark.parametrize("limit", ["bytes", "packets"])
def test_rekeyed_by_traffic_and_nothing_is_lost(pair, limit):
    """Soft limits are told the moment when they are crossed; one side has them."""
    soft, hard = (30_000, 3_000_000) if limit == "bytes" else (300, 30_000)
    pair.load(left={"child_options": {f"rekey_{limit}": soft, f"life_{limit}": hard, **LIMITS}})
    pair.up()
    old = pair.left_charon.children("net")[0]["spi-in"]
    flow = pair.flow()
    with flow.window() as window:
        for _ in range(2):
            old = pair.wait_rekeyed(old)["spi-in"]
        flow.wait_whole()
    print(window.report)
    assert window.report.lost == 0


def test_rekey_storm_loses_nothing(pair):
    """Every 3 s for 60 s, with inbound SAs that stay for 20 s: more than four live at once on the tunnel."""
    for charon in pair.charons:
        charon.set_option({"delete_rekeyed_delay": 20})
        charon.restart(load=False)
    try:
        pair.load(left={"child_options": {"rekey_time": "3s", "life_time": "60s", **LIMITS}},
                  right={"child_options": {"rekey_time": "1h", "life_time": "2h"}})
        pair.up()
        flow = pair.flow(rate=300, flows=8)
        seen, most = set(), 0

        def enough():
            nonlocal most
            inbound = {sa.spi for sa in pair.gateway.control.show("sas") if sa.direction == "in"}
            seen.update(inbound)
            most = max(most, len(inbound))
            return len(seen) >= 20

        with flow.window() as window:
            wait_for(enough, "twenty child SAs", 120, every=0.3)
            flow.wait_whole()
        print(f"{len(seen)} child SAs, at most {most} inbound ones at once; {window.report}")
        assert window.report.lost == 0
        assert most > 4
    finally:
        for charon in pair.charons:
            charon.set_option({"delete_rekeyed_delay": 5})
            charon.restart()


def test_reauthentication_makes_before_it_breaks(pair):
    """The new IKE SA and its child SA are there before the old ones go."""
    pair.left_charon.set_option({"make_before_break": True})
    pair.left_charon.restart()
    try:
        pair.up()
        flow = pair.flow()
        old = pair.left_charon.children("net")[0]["spi-in"]
        with flow.window() as window:
            pair.left_charon.rekey(ike="site", reauth=True)
            pair.wait_rekeyed(old)
            wait_for(lambda: len(pair.left_charon.established()) == 1, "one IKE SA", 45)
            flow.wait_whole()
        print(window.report)
        assert window.report.lost == 0
    finally:
        pair.left_charon.set_option({"make_before_break": False})
        pair.left_charon.restart()


def test_hard_limits_end_an_sa_and_charon_makes_a_new_one(pair):
    """No rekeying in time: the SA ends at its byte limit, and the connection comes back."""
    pair.load(left={"child_options": {"life_bytes": 60_000, "rekey_bytes": 0, **LIMITS}})
    pair.up()
    old = pair.left_charon.children("net")[0]["spi-in"]
    flow = pair.flow()
    pair.wait_rekeyed(old)
    pair.left_charon.wait_log("closing expired CHILD_SA net")
    flow.stop()
