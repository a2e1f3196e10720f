"""Inner packets, and what becomes of them on the way."""

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from testbed import HOST, payload

HEADERS = {4: 20, 6: 40}
NOBODY = 253  # RFC 3692: a protocol for experiments, which needs no header of its own


def packet(version, source, destination, length=None, **fields):
    """An IP packet (bytes) of a length: UDP where there is room for it. `fields` are the IP header's, as scapy has them."""
    length = 100 if length is None else length
    header = (IPv6 if version == 6 else IP)(src=source, dst=destination, **fields)
    room = length - HEADERS[version]
    if room < 8:
        setattr(header, "nh" if version == 6 else "proto", NOBODY)
        return bytes(header / Raw(payload(room)) if room else header)
    return bytes(header / UDP(sport=40000, dport=40001) / Raw(payload(room - 8)))


def to_far(pair, version, length=None, **fields):
    """A packet from the host to behind the tunnel."""
    return packet(version, HOST[version], pair.far_host[version], length, **fields)


def from_far(pair, version, length=None, **fields):
    """A packet from behind the tunnel to the host."""
    return packet(version, pair.far_host[version], HOST[version], length, **fields)


def forwarded(data, traffic_class=None):
    """The packet (bytes) after a router: TTL one less, and perhaps another TOS byte; nothing else is touched."""
    if data[0] >> 4 == 4:
        header = IP(data)
        header.ttl -= 1
        if traffic_class is not None:
            header.tos = traffic_class
        del header.chksum
        size = header.ihl * 4
        return bytes(header)[:size] + data[size:]
    header = IPv6(data)
    header.hlim -= 1
    if traffic_class is not None:
        header.tc = traffic_class
    return bytes(header)[:40] + data[40:]
