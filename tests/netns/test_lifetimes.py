"""Soft and hard limits of SAs by bytes, packets and seconds."""

import pytest

from client import control_pb
from shell import wait_for
from traffic import ping


@pytest.mark.drops("lifetime_expired", "no_sa", "no_outbound_sa")
@pytest.mark.parametrize("limits", [{"hard_packets": 20, "soft_packets": 12}, {"hard_bytes": 20 * 84, "soft_bytes": 12 * 84}],
                         ids=["packets", "bytes"])
def test_hard_limit_stops_after_exactly_so_much(network, limits):
    left, right = network.sites
    pair = network.pair()
    left.gateway.control.delete_sa(pair.spi_out, "out")
    events = left.gateway.events()
    left.gateway.control.add_sa(tunnel="tun1", direction="out", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0],
                                lifetime=control_pb.Lifetime(**limits))
    assert ping(left.host, right.host_address, count=11, check=False) == 11
    assert events.of("sa_expired_soft") == [] and events.of("sa_expired_hard") == []
    # The 12th reaches the soft limit, the 20th the hard one.
    assert ping(left.host, right.host_address, count=1, check=False) == 1
    wait_for(lambda: events.of("sa_expired_soft", spi=pair.spi_out), "the soft limit's event")
    assert ping(left.host, right.host_address, count=20, every_ms=10, check=False) == 8
    wait_for(lambda: events.of("sa_expired_hard", spi=pair.spi_out), "the hard limit's event")
    assert len(events.of("sa_expired_soft")) == 1 and len(events.of("sa_expired_hard")) == 1
    received = right.gateway.sas()[("in", pair.spi_out)]
    assert (received.packets, received.bytes) == (20, 20 * 84)


@pytest.mark.drops("lifetime_expired", "no_sa", "no_outbound_sa")
def test_inbound_hard_limit_stops_too(network):
    left, right = network.sites
    pair = network.pair()
    right.gateway.control.delete_sa(pair.spi_out, "in")
    events = right.gateway.events()
    right.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0],
                                 lifetime=control_pb.Lifetime(hard_packets=7, soft_packets=5))
    assert ping(left.host, right.host_address, count=12, check=False) == 7
    wait_for(lambda: events.of("sa_expired_hard", spi=pair.spi_out), "the hard limit's event")
    assert len(events.of("sa_expired_soft", spi=pair.spi_out)) == 1


@pytest.mark.drops("lifetime_expired", "no_sa", "no_outbound_sa")
def test_limits_by_time(network):
    left, right = network.sites
    pair = network.pair()
    events = left.gateway.events()
    # A new outbound SA takes over; it lives for two seconds.
    left.gateway.control.add_sa(tunnel="tun1", direction="out", spi=pair.spi_out + 0x100, suite="aes-gcm-16-256",
                                key=pair.keys[0], lifetime=control_pb.Lifetime(soft_seconds=1, hard_seconds=2))
    soft = wait_for(lambda: events.of("sa_expired_soft", spi=pair.spi_out + 0x100), "the soft limit", 5)
    hard = wait_for(lambda: events.of("sa_expired_hard", spi=pair.spi_out + 0x100), "the hard limit", 5)
    between = hard[0].unix_microseconds - soft[0].unix_microseconds
    assert 500_000 < between < 2_000_000
    assert ("out", pair.spi_out + 0x100) not in {
        key for key, row in left.gateway.sas().items() if row.state == "current"
    }
    # What is left takes over again, or nothing leaves: never the expired one.
    ping(left.host, right.host_address, count=2, check=False)
    row = left.gateway.sas().get(("out", pair.spi_out + 0x100))
    assert row is None or row.packets == 0
    if row is not None:
        left.gateway.control.delete_sa(pair.spi_out + 0x100, "out")


@pytest.mark.drops("sequence_exhausted", "no_sa", "no_outbound_sa")
def test_sequence_numbers_never_wrap(network):
    """RFC 4303 3.3.3: the last number is sent once, then the SA stops and says so."""
    from test_sa_socket import add_sa_by_socket  # pylint: disable=import-outside-toplevel

    left, right = network.sites
    pair = network.pair()
    left.gateway.control.delete_sa(pair.spi_out, "out")
    watcher = left.gateway.sa
    watcher.call("subscribe")
    add_sa_by_socket(left.gateway, "192.0.2.1", "192.0.2.2", pair.spi_out, pair.keys[0], inbound=False,
                     initial_sequence=0xFFFFFFFF - 5)
    events = left.gateway.events()
    received = ping(left.host, right.host_address, count=12, check=False)
    assert received in (5, 6)
    expired = watcher.next_event("expire")
    assert expired.id.spi == pair.spi_out
    wait_for(lambda: events.of("sa_exhausted", spi=pair.spi_out), "the event")
    assert left.gateway.drops()["sequence_exhausted"] + left.gateway.drops().get("no_outbound_sa", 0) >= 12 - received
