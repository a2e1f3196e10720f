"""Every suite, both ways, against scapy: over IPv4 and IPv6, plain and in UDP, with and without extended sequence numbers."""

import pytest
from inner import HEADERS, forwarded, from_far, to_far
from suites import SUITES


def lengths(version, mtu):
    """Nothing, one byte, odd ones, each remainder of a cipher block, and the last ones that fit."""
    header = HEADERS[version]
    return [header, header + 1, header + 9, *range(header + 61, header + 77, 3), 777, mtu - 1, mtu]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
@pytest.mark.parametrize("esn", [False, True], ids=["sn32", "esn"])
def test_what_one_seals_the_other_opens(testbed, suite, outer, udp, esn):
    """The peer gets what the host sent and the host gets what the peer sent, one hop older and otherwise untouched."""
    pair = testbed.sa_pair(suite.name, outer=outer, udp=udp, esn=esn)
    mtu = suite.inner_mtu(outer, udp)
    assert testbed.gateway.sas()["out", pair.spi_out].inner_mtu == mtu
    for version in (4, 6):
        sent = [to_far(pair, version, length) for length in lengths(version, mtu)]
        received = [pair.receiver.open(packet) for packet in testbed.send_to_peer(*sent)]
        assert received == [forwarded(packet) for packet in sent]

        sent = [from_far(pair, version, length) for length in lengths(version, mtu)]
        received = testbed.send_to_host(*[pair.sender.seal(packet) for packet in sent])
        assert received == [forwarded(packet) for packet in sent]
