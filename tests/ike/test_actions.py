"""What charon does by itself: traps that ask for SAs, starts, dead peers, closed children."""

import pytest

from nat import Cut
from shell import wait_for
from traffic import ping

from network import RIGHT_HOST


@pytest.mark.parametrize("who", ["stock", "pair"])
def test_a_trap_asks_for_the_sa_and_the_first_packets_wait(request, who):
    """start_action trap: nothing is up until a packet comes; the packets are held until the SA is there."""
    network = request.getfixturevalue(who)
    network.load(left={"child_options": {"start_action": "trap"}})
    assert not network.left_charon.list_sas()
    received = ping(network.left_host, RIGHT_HOST, count=5, every_ms=200, check=False)
    network.left_charon.wait_children("net")
    network.right_charon.wait_children("net")
    assert "creating acquire job for policy 10.1.0.10/32" in network.left_charon.log()
    drops = network.gateway.drops()
    print(f"{received} of 5 pings answered, drops {drops}")
    wait_for(lambda: ping(network.left_host, RIGHT_HOST, count=5, check=False) == 5, "five answers", 30)


def test_start_action_start(pair):
    """Loading the connection brings it up."""
    pair.load(left={"child_options": {"start_action": "start"}})
    pair.left_charon.wait_children("net")
    pair.right_charon.wait_children("net")


@pytest.mark.parametrize("action", ["clear", "trap", "restart"])
def test_a_dead_peer_is_noticed(pair, action):
    """DPD: the SAs go; with trap the next packet brings them back, with restart charon does."""
    pair.load(left={"dpd_delay": "1s", "child_options": {"dpd_action": action}})
    pair.up()
    old = pair.left_charon.children("net")[0]["spi-in"]
    with Cut(pair.router, "udp dport 4500", "udp dport 500"):
        wait_for(lambda: not [child for child in pair.left_charon.children("net") if child["spi-in"] == old], "the end of the child SA", 60)
        wait_for(lambda: old not in {f"{sa.spi:08x}" for sa in pair.gateway.control.show("sas")}, "the end of its SA", 30)
        if action == "clear":
            wait_for(lambda: not pair.left_charon.list_sas(), "no SA", 60)
    if action == "clear":
        assert not pair.gateway.tunnel("site").up
        return
    wait_for(lambda: ping(pair.left_host, RIGHT_HOST, check=False), "answers", 60)
    assert pair.left_charon.wait_children("net")[0]["spi-in"] != old


@pytest.mark.parametrize("action", ["none", "trap", "start"])
def test_close_action(pair, action):
    """The peer closes the child SA."""
    pair.load(left={"child_options": {"close_action": action}})
    pair.up()
    old = pair.left_charon.children("net")[0]["spi-in"]
    pair.right_charon.terminate(child="net")
    wait_for(lambda: not [child for child in pair.left_charon.children("net") if child["spi-in"] == old], "the end of the child SA", 30)
    if action == "none":
        assert not pair.gateway.control.show("sas")
        return
    wait_for(lambda: ping(pair.left_host, RIGHT_HOST, check=False), "answers", 60)
    assert pair.left_charon.children("net")
