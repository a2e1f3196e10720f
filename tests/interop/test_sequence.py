"""Sequence numbers at their ends: ESN over 2^32 in both directions, and the 32-bit number that must not wrap."""

import pytest
from inner import forwarded, from_far, to_far

HALF = 1 << 32
SUITES = [
    "aes-gcm-16-256", "chacha20-poly1305", "aes-cbc-128-hmac-sha1-96", "aes-cbc-256-hmac-sha2-512-256", "aes-gmac-256",
    "null-hmac-sha2-256-128",
]


def delivered(testbed, pair, sequence=None):
    """One packet from the peer, which must arrive."""
    packet = from_far(pair, 4)
    assert testbed.send_to_host(pair.sender.seal(packet, sequence)) == [forwarded(packet)]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("window", [{}, {"no_replay": (False, True)}], ids=["window", "no-window"])
def test_extended_numbers_cross_into_the_high_half(testbed, suite, outer, window):
    """The high half is never on the wire, yet both ends count it."""
    pair = testbed.sa_pair(suite, outer=outer, esn=True, sequence=HALF - 4, **window)
    sent = [to_far(pair, 4, 100 + i) for i in range(8)]
    assert [pair.receiver.open(packet) for packet in testbed.send_to_peer(*sent)] == [forwarded(packet) for packet in sent]
    sent = [from_far(pair, 6, 100 + i) for i in range(8)]
    assert testbed.send_to_host(*[pair.sender.seal(packet) for packet in sent]) == [forwarded(packet) for packet in sent]
    sas = testbed.gateway.sas()
    assert sas["out", pair.spi_out].sequence == HALF + 4
    assert sas["in", pair.spi_in].sequence == HALF + 4


def test_late_packets_find_their_half(testbed):
    """Behind the boundary, the window reaches back over it."""
    pair = testbed.sa_pair(esn=True, sequence=HALF - 10)
    for sequence in (HALF - 9, HALF - 3, HALF + 2, HALF - 1, HALF - 8, HALF, HALF + 1):
        delivered(testbed, pair, sequence)
    again = pair.sender.seal(from_far(pair, 4), HALF - 1)
    with testbed.drops(replay_duplicate=1):
        testbed.peer.send(again)
    delivered(testbed, pair, HALF + 3)


def test_a_gap_over_the_boundary_is_followed(testbed):
    """A thousand packets lost just there do not matter."""
    pair = testbed.sa_pair(esn=True, sequence=HALF - 500)
    delivered(testbed, pair, HALF - 499)
    delivered(testbed, pair, HALF + 501)
    assert testbed.gateway.sas()["in", pair.spi_in].sequence == HALF + 501


def test_the_wrong_half_is_not_authentic(testbed):
    """A packet of 2^32 numbers ago looks the same but for its ICV."""
    pair = testbed.sa_pair(esn=True, sequence=HALF + 10)
    with testbed.drops(integrity_failed=1):
        testbed.peer.send(pair.sender.seal(from_far(pair, 4), 11))
    delivered(testbed, pair, HALF + 11)


@pytest.mark.parametrize("suite", SUITES[:3])
def test_the_short_number_never_wraps(testbed, suite):
    """After 2^32 - 1 the SA stops (RFC 4303 3.3.3)."""
    pair = testbed.sa_pair(suite, sequence=HALF - 3)
    sent = [to_far(pair, 4, 100 + i) for i in range(5)]
    with testbed.drops(sequence_exhausted=3):
        testbed.host.send(*sent)
        received = testbed.peer.receive(2)
    assert [pair.receiver.open(packet) for packet in received] == [forwarded(packet) for packet in sent[:2]]
    assert testbed.gateway.sas()["out", pair.spi_out].state == "exhausted"


@pytest.mark.parametrize("window", [32, 64, 1000, 65536])
def test_the_window_is_exact(testbed, window):
    """The oldest number inside is taken, the one before it is late, and each only once."""
    pair = testbed.sa_pair(replay_window_packets=(0, window))
    top = window + 100
    delivered(testbed, pair, top)
    delivered(testbed, pair, top - window + 1)
    with testbed.drops(replay_late=1, replay_duplicate=2):
        for sequence in (top - window, top - window + 1, top):
            testbed.peer.send(pair.sender.seal(from_far(pair, 4), sequence))
    replay = testbed.gateway.sas()["in", pair.spi_in].replay
    assert (replay.window_packets, replay.late_packets, replay.duplicate_packets) == (window, 1, 2)
    assert replay.latest_packets == window
    delivered(testbed, pair, top + 1)


def test_without_a_window_everything_authentic_is_taken(testbed):
    """Anti-replay off means off."""
    pair = testbed.sa_pair(no_replay=(False, True))
    for sequence in (5, 5, 100000, 1, 5):
        delivered(testbed, pair, sequence)
