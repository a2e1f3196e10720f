"""What zebra's stream may bring: order, groups, replacement, errors and reconnects."""

import struct

import pytest

import feeder
from bgp_sites import fpm, learned, make_gateways, tunnels_of
from feeder import Feeder
from flow import Flow
from shell import wait_for

FAR = "10.2.0.0/24"


@pytest.fixture
def fed(lab):
    """The two gateways, and a connection to each with the next hops 1 (tun1) and 2 (tun2)."""
    left, right = make_gateways(lab, sweep_seconds=1)
    feeders = []
    for site, back in ((left, FAR), (right, "10.1.0.0/24")):
        made = Feeder(site.gateway)
        made.send(*(feeder.next_hop(number, made.interface(f"tun{number}")) for number in (1, 2)), feeder.route_by(back, 1))
        wait_for(lambda site=site, back=back: tunnels_of(site.gateway, back) == {"tun1"}, f"{back} by tun1", 30)
        feeders.append(made)
    yield lab, left, right, feeders
    for made in feeders:
        made.close()


def wait_tunnels(gateway, prefix, *tunnels):
    """Waits until a prefix goes by exactly these tunnels."""
    wait_for(lambda: tunnels_of(gateway, prefix) == set(tunnels), f"{prefix} by {', '.join(tunnels) or 'nothing'}", 30)


def test_routes_wait_for_groups(fed):
    """A route that names an unknown group waits, and the route of before forwards until the group is there."""
    lab, left, right, (feed, _) = fed
    with Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=8, rate=200).start().window() as window:
        feed.send(feeder.route_by(FAR, 77), feeder.route_by("10.9.0.0/16", 77))
        wait_for(lambda: fpm(left.gateway).parked_routes == 2, "parked routes", 30)
        assert tunnels_of(left.gateway, FAR) == {"tun1"} and not learned(left.gateway, "10.9.0.0/16")
        feed.send(feeder.group(77, {78: 1}))  # a group of a group that has not come either
        feed.send(feeder.group(78, {2: 1}))
        wait_tunnels(left.gateway, FAR, "tun2")
        wait_tunnels(left.gateway, "10.9.0.0/16", "tun2")
    assert fpm(left.gateway).parked_routes == 0
    assert window.report.lost == 0, str(window.report)


def test_weights_and_changes_in_place(fed):
    """A group's weights are its members' shares of buckets; a changed group moves all its routes at once."""
    _, left, _, (feed, _) = fed
    prefixes = [f"10.9.{number}.0/24" for number in range(20)]
    feed.send(feeder.group(10, {1: 3, 2: 1}), *(feeder.route_by(prefix, 10) for prefix in prefixes))
    for prefix in prefixes:
        wait_tunnels(left.gateway, prefix, "tun1", "tun2")
    row = learned(left.gateway, prefixes[0])
    assert {hop.tunnel: hop.weight for hop in row.next_hops} == {"tun1": 3, "tun2": 1}
    group = next(group for group in left.gateway.control.show("groups") if group.index == row.group)
    shares = {member.next_hop.tunnel: member.buckets for member in group.members}
    assert shares["tun1"] == pytest.approx(3 * shares["tun2"], rel=0.1), shares
    feed.send(feeder.group(10, {2: 1}))
    for prefix in prefixes:
        wait_tunnels(left.gateway, prefix, "tun2")


def test_next_hops_inside_routes(fed):
    """Multipath, single hops, and routes that lead nowhere, as zebra writes them without next hop objects."""
    _, left, _, (feed, _) = fed
    one, two = (feed.interface(f"tun{number}") for number in (1, 2))
    feed.send(
        feeder.route("10.9.0.0/16", feeder.multipath((one, None, 1), (two, "169.254.22.2", 2))),
        feeder.route("2001:db8:9::/48", feeder.attribute(feeder.OIF, two)),
        feeder.route("10.10.0.0/16", kind=feeder.BLACKHOLE), feeder.route("10.11.0.0/16", kind=feeder.UNREACHABLE),
        feeder.route("10.12.0.0/16", kind=feeder.PROHIBIT),
        # Not for the data plane: of the kernel's, of a link only, of a group of hosts.
        feeder.route("10.13.0.0/16", feeder.attribute(feeder.OIF, two), protocol=feeder.KERNEL),
        feeder.route("fe80::/64", feeder.attribute(feeder.OIF, two)), feeder.route("ff00::/8", feeder.attribute(feeder.OIF, two)))
    wait_tunnels(left.gateway, "10.9.0.0/16", "tun1", "tun2")
    wait_tunnels(left.gateway, "2001:db8:9::/48", "tun2")
    assert {hop.tunnel: hop.weight for hop in learned(left.gateway, "10.9.0.0/16").next_hops} == {"tun1": 1, "tun2": 2}
    actions = {row.prefix: row.action for row in left.gateway.control.show("routes", source="bgp")}
    assert [actions.pop(f"10.{number}.0.0/16") for number in (10, 11, 12)] == ["blackhole", "unreachable", "prohibit"]
    assert set(actions) == {FAR, "10.9.0.0/16", "2001:db8:9::/48"}
    assert fpm(left.gateway).ignored_messages == 3


def test_a_change_in_one_frame_does_not_blink(fed):
    """DELROUTE and NEWROUTE of one prefix in a frame are one change: traffic that crosses hundreds of them loses nothing."""
    lab, left, right, (feed, _) = fed
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=8, rate=300).start()
    with flow.window() as window:
        for number in range(500):
            feed.send(feeder.withdraw(FAR), feeder.route_by(FAR, 1 + number % 2))
        wait_for(lambda: flow.report().sent > 1000, "traffic", 30)
        wait_tunnels(left.gateway, FAR, "tun2")
    assert window.report.lost == 0, str(window.report)


@pytest.mark.drops("protected_prefix")
def test_a_withdrawal_fails_closed(fed):
    """A withdrawn prefix is gone after the hold; being protected it is dropped, not sent by a less specific route in clear."""
    _, left, right, (feed, _) = fed
    feed.send(feeder.route("0.0.0.0/0", feeder.multipath((feed.interface("wan0"), "192.0.2.2", 1))), feeder.withdraw(FAR))
    wait_for(lambda: not learned(left.gateway, FAR), "the withdrawal", 30)
    assert learned(left.gateway, "0.0.0.0/0")
    sender = left.host.socket(2, 2)
    for _ in range(10):
        sender.sendto(b"secret", (right.host_address, 9))
    wait_for(lambda: left.gateway.drops().get("protected_prefix", 0) >= 10, "drops by protection", 30)


def test_broken_messages_are_counted(fed):
    """A malformed message changes nothing and is counted; what is no FPM at all ends the connection, and the routes stay."""
    _, left, _, (feed, _) = fed
    short = feeder.route("10.9.0.0/16", struct.pack("=HH", 400, feeder.OIF))
    feed.send(short, feeder.route_by("10.10.0.0/16", 2))
    wait_tunnels(left.gateway, "10.10.0.0/16", "tun2")
    status = fpm(left.gateway)
    assert status.malformed_messages == 1 and "10.9.0.0/16" in status.last_error, status
    assert not learned(left.gateway, "10.9.0.0/16")
    feed.send_bytes(b"\x01\x01\x00\x01")
    assert feed.ended()
    wait_for(lambda: not fpm(left.gateway).connected, "the end of the connection", 30)
    assert tunnels_of(left.gateway, FAR) == {"tun1"}


def test_reconnect_marks_and_sweeps(fed):
    """The newest connection counts. What it does not repeat goes, when it has been quiet; what it repeats never stops."""
    lab, left, right, (feed, _) = fed
    gone = [f"10.9.{number}.0/24" for number in range(50)]
    feed.send(*(feeder.route_by(prefix, 2) for prefix in gone))
    wait_tunnels(left.gateway, gone[-1], "tun2")
    flow = Flow(lab, left.host, left.host_address, right.host, right.host_address, flows=8, rate=200).start()
    with flow.window() as window:
        second = Feeder(left.gateway)
        assert feed.ended()
        wait_for(lambda: fpm(left.gateway).stale_routes == 51, "stale routes", 30)
        # Its numbers may mean something else than those of before.
        second.send(feeder.next_hop(2, second.interface("tun1")), feeder.next_hop(1, second.interface("tun2")))
        assert tunnels_of(left.gateway, FAR) == {"tun1"} and tunnels_of(left.gateway, gone[0]) == {"tun2"}
        second.send(feeder.route_by(FAR, 1))
        wait_tunnels(left.gateway, FAR, "tun2")
        wait_for(lambda: fpm(left.gateway).stale_routes == 0, "the sweep", 30)
        second.close()
    assert [row.prefix for row in left.gateway.control.show("routes", source="bgp")] == [FAR]
    assert fpm(left.gateway).connections == 2
    assert window.report.lost == 0, str(window.report)
