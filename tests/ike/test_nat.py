"""NAT in front of either side, mappings that change."""

import pytest

from nat import Nat
from network import LEFT
from shell import wait_for

PORTS = ((20000, 24999), (30000, 34999))


@pytest.fixture
def nat_before(stock):
    """Makes the router hide what is behind the other device."""
    def hide(outside):
        return Nat(stock.router, outside, PORTS[0])
    yield hide
    stock.router.run("nft", "delete", "table", "ip", "nat", check=False)


def remote_port(gateway):
    """Where the gateway sends the ESP of its current SA."""
    return next(sa.destination_port for sa in gateway.control.show("sas") if sa.direction == "out")


def test_nat_before_the_peer_changes_its_port(stock, nat_before):
    """The gateway tells charon of the new port when an authenticated packet came from it; charon moves the SAs."""
    nat = nat_before("near")
    stock.load(left={"remote_addrs": "%any"})
    stock.up(stock.right_charon)
    flow = stock.flow()
    assert PORTS[0][0] <= remote_port(stock.gateway) <= PORTS[0][1]
    with flow.window() as window:
        nat.remap(*PORTS[1])
        wait_for(lambda: remote_port(stock.gateway) >= PORTS[1][0], "the new port", 45)
        flow.wait_whole()
    print(window.report)
    assert "NAT mappings of CHILD_SA ESP" in stock.left_charon.log()
    assert int(stock.left_charon.established("site")[0]["remote-port"]) >= PORTS[1][0]


def test_nat_before_the_gateway(stock, nat_before):
    """The gateway is hidden; the stock peer hears of a new port by IKE messages."""
    nat = nat_before("far")
    stock.load(left={"dpd_delay": "1s"}, right={"remote_addrs": "%any"})
    stock.up(stock.left_charon)
    flow = stock.flow()
    before = stock.right_charon.established("site")[0]
    assert before["remote-host"] == "198.51.100.254" and int(before["remote-port"]) <= PORTS[0][1]
    with flow.window() as window:
        nat.remap(*PORTS[1])
        wait_for(lambda: int(stock.right_charon.established("site")[0]["remote-port"]) >= PORTS[1][0], "the new port", 45)
        flow.wait_whole()
    print(window.report)


def test_a_forged_packet_does_not_move_the_mapping(stock, nat_before):
    """Only what is authentic tells of a new port."""
    nat_before("near")
    stock.load(left={"remote_addrs": "%any"})
    stock.up(stock.right_charon)
    flow = stock.flow()
    port = remote_port(stock.gateway)
    spi = next(sa.spi for sa in stock.gateway.control.show("sas") if sa.direction == "in")
    dropped = sum(stock.gateway.drops().values())
    with stock.router.socket(2, 2) as forger:
        for number in range(20):
            forger.sendto(spi.to_bytes(4, "big") + (100_000 + number).to_bytes(4, "big") + bytes(100), (LEFT, 4500))
    wait_for(lambda: sum(stock.gateway.drops().values()) >= dropped + 20, "the forged packets to be dropped", 30)
    flow.wait_whole()
    assert remote_port(stock.gateway) == port
