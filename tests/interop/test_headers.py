"""Outer against inner headers: ECN (RFC 6040), DSCP, DF; fragments of ESP; padding against traffic analysis."""

import random

import pytest
from inner import forwarded, from_far, to_far
from scapy.layers.inet import ICMP, IP, TCP, IPOption_NOP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, fragment6
from testbed import HOST

NOT_ECT, ECT_1, ECT_0, CE = range(4)
ARRIVES = {  # RFC 6040 figure 4: [inner][outer]; None: dropped
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT_0: NOT_ECT, ECT_1: NOT_ECT, CE: None},
    ECT_0: {NOT_ECT: ECT_0, ECT_0: ECT_0, ECT_1: ECT_1, CE: CE},
    ECT_1: {NOT_ECT: ECT_1, ECT_0: ECT_1, ECT_1: ECT_1, CE: CE},
    CE: {NOT_ECT: CE, ECT_0: CE, ECT_1: CE, CE: CE},
}
FIELD = {4: "tos", 6: "tc"}
families = pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
outers = pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])


def header_of(packet):
    """The outer header, as scapy's."""
    return (IPv6 if packet[0] >> 4 == 6 else IP)(packet)


@families
@outers
def test_congestion_marks_come_in_as_the_table_says(testbed, inner, outer):
    """All 16 combinations; the inner packet keeps its own DSCP whatever the outer one has become."""
    pair = testbed.sa_pair(outer=outer)
    for inner_ecn, row in ARRIVES.items():
        for outer_ecn, result in row.items():
            packet = from_far(pair, inner, **{FIELD[inner]: 46 << 2 | inner_ecn})
            esp = pair.sender.seal(packet)[20 if outer == 4 else 40 :]
            sealed = pair.sender.wrap(esp, **{FIELD[outer]: 10 << 2 | outer_ecn})
            if result is None:
                with testbed.drops(ecn_illegal=1):
                    testbed.peer.send(sealed)
            else:
                assert testbed.send_to_host(sealed) == [forwarded(packet, 46 << 2 | result)], (inner_ecn, outer_ecn)


@families
@outers
@pytest.mark.parametrize("dscp", [None, 0, 34], ids=["copied", "fixed0", "fixed34"])
def test_traffic_class_goes_out(testbed, inner, outer, dscp):
    """ECN is copied, CE too (RFC 6040 4.1); DSCP is copied, or is the SA's own."""
    options = {} if dscp is None else {"dscp": dscp}
    pair = testbed.sa_pair(outer=outer, **options)
    for traffic_class in [46 << 2 | ecn for ecn in range(4)] + [0, 255]:
        packet = to_far(pair, inner, **{FIELD[inner]: traffic_class})
        (sealed,) = testbed.send_to_peer(packet)
        expected = traffic_class if dscp is None else dscp << 2 | traffic_class & 3
        assert getattr(header_of(sealed), FIELD[outer]) == expected
        assert pair.receiver.open(sealed) == forwarded(packet)


@pytest.mark.parametrize("mode", ["", "copy", "set", "clear"])
def test_dont_fragment_goes_out(testbed, mode):
    """Copied from IPv4, always on for IPv6, or as the SA says; the outer checksum is right and the TTL its own."""
    pair = testbed.sa_pair(df=(mode, ""))
    seen = []
    for packet in (to_far(pair, 4, flags=0), to_far(pair, 4, flags="DF"), to_far(pair, 6)):
        (sealed,) = testbed.send_to_peer(packet)
        assert pair.receiver.open(sealed) == forwarded(packet)
        header = IP(sealed)
        seen.append("DF" in str(header.flags))
        checksum = header.chksum
        del header.chksum
        assert IP(bytes(header)).chksum == checksum
        assert header.ttl == 64
    assert seen == {"set": [True] * 3, "clear": [False] * 3}.get(mode, [False, True, True])


@outers
@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_fragments_of_esp_are_put_together(testbed, outer, udp, order):
    """A path with a small MTU between the gateways (RFC 4303 3.4.1).

    IPv6 ones are the gateway's work; IPv4 ones Linux has joined before, for the af_packet driver asks it to.
    """
    pair = testbed.sa_pair(outer=outer, udp=udp)
    for size in (1000, 1400):
        packet = from_far(pair, 4, size)
        whole = header_of(pair.sender.seal(packet))
        if outer == 4:
            whole.id = size
            del whole.chksum
            pieces = [bytes(piece) for piece in fragment(whole, 400)]
        else:
            bare = IPv6(src=whole.src, dst=whole.dst) / IPv6ExtHdrFragment(id=size, nh=whole.nh) / bytes(whole.payload)
            pieces = [bytes(piece) for piece in fragment6(bare, 500)]
        assert len(pieces) > 2
        if order == "backward":
            pieces.reverse()
        elif order == "shuffled":
            random.Random(size).shuffle(pieces)
        testbed.peer.send(*pieces)
        assert testbed.host.receive(1) == [forwarded(packet)]


@outers
@families
@pytest.mark.parametrize("suite", ["aes-gcm-16-256", "aes-cbc-128-hmac-sha1-96", "null-hmac-sha2-512-256"])
def test_padding_behind_the_inner_packet_is_taken(testbed, outer, inner, suite):
    """Traffic flow confidentiality (RFC 4303 2.7): the inner length says where the packet ends."""
    pair = testbed.sa_pair(suite, outer=outer)
    sender = pair.sender
    for extra in (1, 50, 700):
        packet = from_far(pair, inner, 300)
        text = sender.text(packet + bytes([0xA5]) * extra, 4 if inner == 4 else 41)
        assert testbed.send_to_host(sender.wrap(sender.seal_text(text))) == [forwarded(packet)]


@outers
@families
@pytest.mark.parametrize("length", [600, 4294967295], ids=["600", "mtu"])
def test_padding_behind_the_inner_packet_is_sent(testbed, outer, inner, length):
    """All packets up to the length look alike on the wire, longer ones go as they are."""
    pair = testbed.sa_pair(outer=outer, tfc_length_bytes=(length, 0))
    mtu = pair.suite.inner_mtu(outer, False)
    full = min(length, mtu)
    packets = [to_far(pair, inner, size) for size in (60, 61, full - 1, full, mtu)]
    sealed = testbed.send_to_peer(*packets)
    assert len({len(packet) for packet in sealed[:4]}) == 1
    for packet, outer_packet in zip(packets, sealed):
        opened = pair.receiver.open(outer_packet)
        assert opened[: len(packet)] == forwarded(packet)
        assert len(opened) == max(len(packet), full)


def odd_packets(near, far):
    """Inner packets that are right, but not what one sees every day."""
    return [
        bytes(IP(src=near[4], dst=far[4], options=[IPOption_NOP()] * 4) / ICMP() / b"options"),
        bytes(IP(src=near[4], dst=far[4]) / TCP(sport=1, dport=2, flags="PA") / b"text"),
        bytes(IP(src=near[4], dst=far[4], proto=50) / bytes(range(40))),
        bytes(IPv6(src=near[6], dst=far[6]) / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]) / ICMPv6EchoRequest()),
        bytes(IPv6(src=near[6], dst=far[6]) / IPv6ExtHdrFragment(id=7, offset=0, m=1, nh=17) / bytes(64)),
        bytes(IPv6(src=near[6], dst=far[6], fl=0xABCDE) / ICMPv6EchoRequest(data=b"flow label")),
        bytes(IPv6(src=near[6], dst=far[6], nh=59)),
    ]


@outers
def test_odd_inner_packets_pass(testbed, outer):
    """Options, extension headers, fragments, other protocols, ESP in ESP: not the gateway's business."""
    pair = testbed.sa_pair("aes-cbc-128-hmac-sha2-256-128", outer=outer)
    packets = odd_packets(HOST, pair.far_host)
    received = [pair.receiver.open(packet) for packet in testbed.send_to_peer(*packets)]
    assert sorted(received) == sorted(forwarded(packet) for packet in packets)  # ESP in transit takes a longer way
    packets = odd_packets(pair.far_host, HOST)
    # In clear these would not reach the gateway: DPDK's af_packet driver has Linux put IPv4 fragments together.
    packets.append(bytes(IP(src=pair.far_host[4], dst=HOST[4], flags="MF") / ICMP() / bytes(64)))
    packets.append(bytes(IP(src=pair.far_host[4], dst=HOST[4], frag=9) / (b"rest" * 5)))
    received = testbed.send_to_host(*[pair.sender.seal(packet) for packet in packets])
    assert sorted(received) == sorted(forwarded(packet) for packet in packets)
