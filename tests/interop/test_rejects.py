"""What an independent sender gets wrong on purpose: each packet dies for exactly its reason, and nothing reaches the host."""

import struct

import pytest
from client import control_pb
from inner import forwarded, from_far, packet
from suites import BY_NAME
from testbed import HOST, STRANGER

SUITES = ["aes-gcm-16-128", "chacha20-poly1305", "aes-cbc-256-hmac-sha2-256-128", "aes-gmac-128", "null-hmac-sha1-96"]
IPV4, IPV6, TCP, DUMMY = 4, 41, 6, 59

pytestmark = pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
each_suite = pytest.mark.parametrize("suite", SUITES)


def still_works(testbed, pair):
    """The next packet that is right arrives, and nothing before it: what was sent earlier has not."""
    right = from_far(pair, 4)
    assert testbed.send_to_host(pair.sender.seal(right)) == [forwarded(right)]


def esp_offset(pair):
    """Where ESP begins in an outer packet."""
    return (20 if pair.outer == 4 else 40) + (8 if pair.sender.ports else 0)


def flipped(data, at):
    """With one bit wrong."""
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


@each_suite
def test_replayed(testbed, suite, outer):
    """Captured and sent again, at once and later."""
    pair = testbed.sa_pair(suite, outer=outer)
    sealed = [pair.sender.seal(from_far(pair, 4)) for _ in range(5)]
    assert len(testbed.send_to_host(*sealed)) == 5
    with testbed.drops(replay_duplicate=5):
        testbed.peer.send(*sealed)
    still_works(testbed, pair)


@each_suite
@pytest.mark.parametrize("esn", [False, True], ids=["sn32", "esn"])
def test_corrupted_anywhere(testbed, suite, outer, esn):
    """A wrong bit in number, IV, text or ICV; numbers far ahead do not move the window."""
    pair = testbed.sa_pair(suite, outer=outer, esn=esn)
    start = esp_offset(pair)
    size = len(pair.sender.seal(from_far(pair, 4)))
    places = range(start + 4, size)
    with testbed.drops(integrity_failed=len(places)):
        for place in places:
            testbed.peer.send(flipped(pair.sender.seal(from_far(pair, 4)), place))
    assert testbed.gateway.sas()["in", pair.spi_in].integrity_failed_packets == len(places)
    assert testbed.gateway.sas()["in", pair.spi_in].sequence == 0
    still_works(testbed, pair)


def test_unknown_spi(testbed, outer):
    """RFC 4303 3.4.2; with the SPI of a dead SA too."""
    pair = testbed.sa_pair(outer=outer)
    gone = testbed.sa_pair(outer=outer)
    gone.remove()
    with testbed.drops(no_sa=3):
        for place in (0, 3):
            testbed.peer.send(flipped(pair.sender.seal(from_far(pair, 4)), esp_offset(pair) + place))
        testbed.peer.send(gone.sender.seal(from_far(gone, 4)))
    still_works(testbed, pair)


@each_suite
def test_truncated(testbed, suite, outer):
    """ESP cut off at each of its bytes."""
    pair = testbed.sa_pair(suite, outer=outer)
    shape = BY_NAME[suite]
    sealed = pair.sender.seal(from_far(pair, 4))[esp_offset(pair):]
    around = 8 + shape.iv + shape.icv
    whole = [size for size in range(around + 1, len(sealed)) if (size - around) % shape.align == 0]
    with testbed.drops(malformed_esp=len(sealed) - len(whole), integrity_failed=len(whole)):
        for size in range(len(sealed)):
            testbed.peer.send(pair.sender.wrap(sealed[:size]))
    still_works(testbed, pair)


@each_suite
def test_wrong_padding(testbed, suite, outer):
    """Padding is 1, 2, 3, ... (RFC 4303 2.4), as much as there is room for."""
    pair = testbed.sa_pair(suite, outer=outer)
    sender, inner = pair.sender, from_far(pair, 4, 100)
    need = -(len(inner) + 2) % 16
    right = bytes(range(1, 1 + need))
    wrong = [bytes(need), right[::-1], right[:-1] + b"\xff", b"\xff" + right[1:]]
    with testbed.drops(bad_padding=len(wrong) + 2):
        for padding in wrong:
            testbed.peer.send(sender.wrap(sender.seal_text(sender.text(inner, IPV4, padding))))
        for claim in (255, 99):  # of padding, in a text of 16 or 96 bytes
            text = bytes(14 if claim == 255 else 94) + bytes([claim, IPV4])
            testbed.peer.send(sender.wrap(sender.seal_text(text)))
    still_works(testbed, pair)


@each_suite
def test_more_padding_than_needed_is_right(testbed, suite, outer):
    """Up to 255 bytes (RFC 4303 2.4)."""
    pair = testbed.sa_pair(suite, outer=outer)
    sender = pair.sender
    for inner_length, padding in [(98, size) for size in range(12, 256, 16)] + [(95, 255)]:
        inner = from_far(pair, 4, inner_length)
        text = sender.text(inner, IPV4, bytes(range(1, 1 + padding)))
        assert testbed.send_to_host(sender.wrap(sender.seal_text(text))) == [forwarded(inner)]


@each_suite
def test_dummies_and_other_next_headers(testbed, suite, outer):
    """59 is a dummy and counted apart; transport mode is not ours."""
    pair = testbed.sa_pair(suite, outer=outer)
    sender = pair.sender
    with testbed.drops(dummy_packet=3, bad_next_header=4):
        for payload in (b"", bytes(100), from_far(pair, 4)):
            testbed.peer.send(sender.wrap(sender.seal_text(sender.text(payload, DUMMY))))
        for next_header in (0, TCP, 17, 255):
            testbed.peer.send(sender.wrap(sender.seal_text(sender.text(from_far(pair, 4), next_header))))
    still_works(testbed, pair)


@each_suite
def test_inner_packets_that_are_none(testbed, suite, outer):
    """Version against next header, lengths against what is there, nothing at all."""
    pair = testbed.sa_pair(suite, outer=outer)
    sender, v4, v6 = pair.sender, from_far(pair, 4), from_far(pair, 6)
    bad = [
        (v4, IPV6), (v6, IPV4), (b"", IPV4), (b"", IPV6), (v4[:19], IPV4), (v6[:39], IPV6), (v4[:-1], IPV4), (v6[:-1], IPV6),
        (b"\x44" + v4[1:], IPV4), (b"\x55" + v4[1:], IPV4), (v4[:2] + struct.pack("!H", 19) + v4[4:], IPV4),
        (flipped(v4, 10), IPV4), (flipped(v4, 16), IPV4),
    ]
    with testbed.drops(bad_inner_packet=len(bad)):
        for payload, next_header in bad:
            testbed.peer.send(sender.wrap(sender.seal_text(sender.text(payload, next_header))))
    still_works(testbed, pair)


def test_outside_the_selectors(testbed, outer):
    """Address, protocol and port of the inner packet against the SA's (RFC 4301 5.2)."""
    far = {4: "10.4.0.0/16", 6: "10.6.0.0/16"}[outer]
    selector = control_pb.Selector(
        source=far, destination="10.1.0.10/32", protocol=17, destination_port_first=40000, destination_port_last=40001
    )
    pair = testbed.sa_pair(outer=outer, selectors=([], [selector]))
    source = pair.far_host[4]
    wrong = [
        packet(4, "10.77.0.1", HOST[4]), packet(4, source, "10.1.0.11"), packet(6, pair.far_host[6], HOST[6]),
        packet(4, source, HOST[4], 20),  # not UDP
    ]
    other_port = bytearray(from_far(pair, 4))
    other_port[22:24] = struct.pack("!H", 40002)
    with testbed.drops(selector_mismatch=len(wrong) + 1):
        for inner in [*wrong, bytes(other_port)]:
            testbed.peer.send(pair.sender.seal(inner))
    still_works(testbed, pair)


def test_from_somebody_else(testbed, outer):
    """The outer source counts where the SA says so, and only there (RFC 4301 4.4.2.1)."""
    strict, lax = testbed.sa_pair(outer=outer, check_source=True), testbed.sa_pair(outer=outer)
    with testbed.drops(source_mismatch=1):
        esp = strict.sender.seal(from_far(strict, 4))[esp_offset(strict):]
        testbed.peer.send(strict.sender.wrap(esp, source=STRANGER[outer]))
    still_works(testbed, strict)
    inner = from_far(lax, 4)
    esp = lax.sender.seal(inner)[esp_offset(lax):]
    assert testbed.send_to_host(lax.sender.wrap(esp, source=STRANGER[outer])) == [forwarded(inner)]


@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
def test_encapsulated_otherwise(testbed, outer, udp):
    """UDP where the SA has none, and none where it has."""
    pair = testbed.sa_pair(outer=outer, udp=udp)
    sealed = pair.sender.seal(from_far(pair, 4))[esp_offset(pair):]
    right = pair.sender.ports
    pair.sender.ports = None if udp else (4500, 4500)
    with testbed.drops(encapsulation_mismatch=1):
        testbed.peer.send(pair.sender.wrap(sealed))
    pair.sender.ports = right
    still_works(testbed, pair)


def test_keepalive(testbed, outer):
    """One byte 0xff to port 4500 (RFC 3948 2.3)."""
    pair = testbed.sa_pair(outer=outer, udp=True)
    with testbed.drops(nat_keepalive=1):
        testbed.peer.send(pair.sender.wrap(b"\xff"))
    still_works(testbed, pair)
