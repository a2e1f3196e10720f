"""The TCP MSS of SYNs is lowered to what fits through the tunnel, in both directions."""

import socket

import pytest

from traffic import Capture


def connect(client, server, address, port):
    """Opens and closes a TCP connection between two hosts; returns nothing, the SYNs are what counts."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = server.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    dialer = client.socket(family, socket.SOCK_STREAM)
    dialer.connect((address, port))
    accepted, _ = listener.accept()
    dialer.sendall(b"x")
    assert accepted.recv(1) == b"x"
    for end in (dialer, accepted, listener):
        end.close()


def seen_mss(capture):
    """The MSS options of all SYNs in a capture."""
    from scapy.layers.inet import TCP  # pylint: disable=import-outside-toplevel

    return [dict(p[TCP].options)["MSS"] for p in capture.packets() if TCP in p and p[TCP].flags.S]


@pytest.mark.parametrize("options, mss4, mss6", [
    ({}, 1406, 1386),
    ({"mss": 1300}, 1300, 1300),
    ({"clamp_mss": False}, 1460, 1440),
], ids=["automatic", "fixed", "off"])
def test_syns_of_both_ends_are_clamped(lab, options, mss4, mss6):
    left, right = lab.site_to_site(tunnel_options=options)
    lab.pair()
    port = 7000
    with Capture(left.host, "eth0", "tcp or (ip6 and ip6[6] == 6)") as here, \
            Capture(right.host, "eth0", "tcp or (ip6 and ip6[6] == 6)") as there:
        connect(left.host, right.host, right.host_address, port)
        connect(left.host, right.host, right.host_address6, port)
    # Each host sees its own SYN as it sent it, and the other's as it came through the tunnel.
    assert seen_mss(there) == [mss4, 1460, mss6, 1440]
    assert seen_mss(here) == [1460, mss4, 1440, mss6]


def test_a_smaller_mss_is_left_alone(lab):
    left, right = lab.site_to_site()
    lab.pair()
    for site in (left, right):
        site.host.run("ip", "link", "set", "eth0", "mtu", 1300)
    with Capture(right.host, "eth0", "tcp") as there:
        connect(left.host, right.host, right.host_address, 7001)
    assert seen_mss(there) == [1260, 1260]
