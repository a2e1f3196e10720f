"""tshark as a third opinion: what the gateway sends, it decrypts, finds authentic and shows the inner packets of."""

import pytest
from inner import to_far
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from shell import run
from suites import SUITES
from testbed import HOST


def associations(pairs):
    """The rows of tshark's table of SAs, as options."""
    for pair in pairs:
        key = pair.receiver.key
        cipher, hmac = key[: pair.suite.cipher_key], key[pair.suite.cipher_key :]
        row = (
            f"IPv{pair.outer}", pair.receiver.source, pair.receiver.destination, f"{pair.spi_out:#010x}",
            pair.suite.tshark_cipher, "0x" + cipher.hex() if cipher else "",
            pair.suite.tshark_hmac, "0x" + hmac.hex() if hmac else "",
        )
        yield "-o"
        yield "uat:esp_sa:" + ",".join(f'"{field}"' for field in row)


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("udp", [False, True], ids=["plain", "udp"])
def test_tshark_reads_what_the_gateway_sends(testbed, outer, udp, tmp_path):
    """Of every suite that tshark has, an IPv4 and an IPv6 packet."""
    pairs, frames, expected = [], [], []
    for suite in [suite for suite in SUITES if suite.tshark]:
        pair = testbed.sa_pair(suite.name, outer=outer, udp=udp)
        pairs.append(pair)
        for packet in testbed.send_to_peer(to_far(pair, 4, 301), to_far(pair, 6, 302)):
            frames.append(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / type(pair.receiver.outer())(packet))
        expected += [f"{pair.spi_out:#010x} {pair.far_host[version]} 1" for version in (4, 6)]
    assert len(pairs) == 19
    wrpcap(str(tmp_path / "wire.pcap"), frames)
    output = run(
        "tshark", "-n", "-r", tmp_path / "wire.pcap",
        "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", *associations(pairs),
        "-Y", f"udp.dstport == 40001 and (ip.src == {HOST[4]} or ipv6.src == {HOST[6]})",
        "-T", "fields", "-E", "occurrence=l", "-e", "esp.spi", "-e", "ip.dst", "-e", "ipv6.dst", "-e", "esp.icv_good",
    )
    rows = [line.split("\t") for line in output.splitlines()]
    # The last address of the inner packet's family is the inner one.
    seen = [f"{spi} {v6 if ':' in want else v4} {good}" for (spi, v4, v6, good), want in zip(rows, expected)]
    assert seen == expected
