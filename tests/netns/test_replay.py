"""Packets captured on the wire and sent again, corrupted packets and late ones."""

import random

import pytest

from shell import wait_for
from traffic import Capture, ping


def esp_frames(capture, spi):
    """The Ethernet frames of one SPI over IPv4, in the order seen."""
    return [bytes(packet) for packet in capture.packets() if bytes(packet)[34:38] == spi.to_bytes(4, "big")]


def grown(gateway, reason, before, by):
    """Waits until a drop reason has grown by so many."""
    wait_for(lambda: gateway.drops().get(reason, 0) - before == by,
             f"{by} more {reason}, there were {before}, now {gateway.drops()}", 5)


@pytest.mark.drops("replay_duplicate")
def test_replayed_packets_are_dropped_and_told_apart(network):
    left, right = network.sites
    pair = network.pair()
    with Capture(network.wire, "bridge", "esp") as wire:
        ping(left.host, right.host_address, count=20)
    frames = esp_frames(wire, pair.spi_out)
    assert len(frames) == 20
    before = right.gateway.drops().get("replay_duplicate", 0)
    sender = network.wire.frames("right")
    for frame in frames:
        sender.send(frame)
    grown(right.gateway, "replay_duplicate", before, 20)
    assert right.gateway.sas()[("in", pair.spi_out)].replay.duplicate_packets == 20
    assert right.gateway.sas()[("in", pair.spi_out)].packets == 20
    last = next(drop.last for drop in right.gateway.control.show("drops") if drop.reason == "replay_duplicate")
    assert (last.spi, last.sequence, last.source, last.destination) == (pair.spi_out, 20, "192.0.2.1", "192.0.2.2")


@pytest.mark.drops("integrity_failed", "no_sa")
def test_any_changed_byte_is_found(network):
    left, right = network.sites
    pair = network.pair()
    right.gateway.control.delete_sa(pair.spi_out, "in")
    with Capture(network.wire, "bridge", "esp") as wire:
        ping(left.host, right.host_address, count=20, check=False)
    frames = esp_frames(wire, pair.spi_out)
    assert len(frames) == 20
    right.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0])
    before = right.gateway.drops().get("integrity_failed", 0)
    sender = network.wire.frames("right")
    changes = random.Random(1)
    for frame in frames:
        position = changes.randrange(14 + 20 + 4, len(frame))
        sender.send(frame[:position] + bytes([frame[position] ^ (1 << changes.randrange(8))]) + frame[position + 1:])
    grown(right.gateway, "integrity_failed", before, 20)
    row = right.gateway.sas()[("in", pair.spi_out)]
    assert (row.packets, row.sequence, row.integrity_failed_packets) == (0, 0, 20)
    # The window did not move for them: the true ones still come in.
    for frame in frames:
        sender.send(frame)
    wait_for(lambda: right.gateway.sas()[("in", pair.spi_out)].packets == 20, "the true packets")



@pytest.mark.drops("replay_late", "no_sa")
def test_late_packets_say_which_window_would_have_sufficed(network):
    left, right = network.sites
    pair = network.pair()
    right.gateway.control.delete_sa(pair.spi_out, "in")
    with Capture(network.wire, "bridge", "esp") as wire:
        ping(left.host, right.host_address, count=300, every_ms=2, check=False)
    frames = esp_frames(wire, pair.spi_out)
    assert len(frames) == 300
    right.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0],
                                 replay_window_packets=64)
    before = right.gateway.drops().get("replay_late", 0)
    sender = network.wire.frames("right")
    for frame in [*frames[100:], *frames[:100]]:
        sender.send(frame)
    grown(right.gateway, "replay_late", before, 100)
    row = right.gateway.sas()[("in", pair.spi_out)]
    assert row.packets == 200 and row.replay.late_packets == 100
    assert row.replay.window_packets == 64
    assert sum(bin.packets for bin in row.replay.late_histogram) == 100
    assert min(bin.from_packets for bin in row.replay.late_histogram) <= 200
    assert 300 <= row.replay.sufficient_window_packets <= 512
    # With that window all of them come in.
    right.gateway.control.delete_sa(pair.spi_out, "in")
    right.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0],
                                 replay_window_packets=row.replay.sufficient_window_packets)
    for frame in [*frames[100:], *frames[:100]]:
        sender.send(frame)
    wait_for(lambda: right.gateway.sas()[("in", pair.spi_out)].packets == 300, "all 300")


@pytest.mark.drops("no_sa")
def test_replay_check_can_be_off(network):
    left, right = network.sites
    pair = network.pair()
    right.gateway.control.delete_sa(pair.spi_out, "in")
    right.gateway.control.add_sa(tunnel="tun1", direction="in", spi=pair.spi_out, suite="aes-gcm-16-256", key=pair.keys[0],
                                 no_replay=True)
    with Capture(network.wire, "bridge", "esp") as wire:
        ping(left.host, right.host_address, count=5)
    sender = network.wire.frames("right")
    for frame in esp_frames(wire, pair.spi_out):
        sender.send(frame)
    wait_for(lambda: right.gateway.sas()[("in", pair.spi_out)].packets == 10, "each packet twice")
