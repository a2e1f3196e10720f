"""Frames as zebra sends them, made by hand: for what a real zebra does only now and then, or never."""

import ipaddress
import socket
import struct

NEW_ROUTE, DELETE_ROUTE, NEW_NEXT_HOP, DELETE_NEXT_HOP = 24, 25, 104, 105
UNICAST, BLACKHOLE, UNREACHABLE, PROHIBIT = 1, 6, 7, 8
BGP, KERNEL = 186, 2
MAIN_TABLE = 254
DST, OIF, GATEWAY, MULTIPATH, VIA, NH_ID = 1, 4, 5, 9, 18, 30
NHA_ID, NHA_GROUP, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY = 1, 2, 4, 5, 6


def attribute(kind, value):
    """One netlink attribute; an int is 32 bits."""
    data = struct.pack("=I", value) if isinstance(value, int) else value
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def packed(address):
    """An address as bytes."""
    return ipaddress.ip_address(address).packed


def _family(address):
    return socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6


def message(kind, body):
    """One netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0x501, 0, 0) + body


def next_hop(number, interface, gateway=None):
    """A next hop object; `interface` is the number of a device."""
    family = _family(gateway) if gateway else socket.AF_INET
    body = struct.pack("=BBBBI", family, 0, 11, 0, 0) + attribute(NHA_ID, number) + attribute(NHA_OIF, interface)
    return message(NEW_NEXT_HOP, body + (attribute(NHA_GATEWAY, packed(gateway)) if gateway else b""))


def group(number, members):
    """A group: {next hop or group: weight}."""
    value = b"".join(struct.pack("=IBBH", member, weight - 1, 0, 0) for member, weight in members.items())
    return message(NEW_NEXT_HOP, struct.pack("=BBBBI", 0, 0, 11, 0, 0) + attribute(NHA_ID, number) + attribute(NHA_GROUP, value))


def delete_next_hop(number):
    """A next hop or group goes."""
    return message(DELETE_NEXT_HOP, struct.pack("=BBBBI", 0, 0, 11, 0, 0) + attribute(NHA_ID, number))


def route(prefix, attributes=b"", *, kind=UNICAST, protocol=BGP, verb=NEW_ROUTE):
    """A route; its next hops stand in `attributes`."""
    network = ipaddress.ip_network(prefix)
    family = _family(network.network_address)
    header = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, MAIN_TABLE, protocol, 0, kind, 0)
    return message(verb, header + attribute(DST, network.network_address.packed) + attributes)


def route_by(prefix, number):
    """A route that names a next hop or group."""
    return route(prefix, attribute(NH_ID, number))


def withdraw(prefix):
    """The route goes."""
    return route(prefix, kind=0, verb=DELETE_ROUTE)


def multipath(*hops):
    """Next hops inside a route: (interface, gateway, weight) each."""
    value = b""
    for interface, gateway, weight in hops:
        inner = attribute(GATEWAY, packed(gateway)) if gateway else b""
        value += struct.pack("=HBBI", 8 + len(inner), 0, weight - 1, interface) + inner
    return attribute(MULTIPATH, value)


class Feeder:
    """A connection to the gateway in a namespace."""

    def __init__(self, gateway, address="127.0.0.1", port=2620):
        self.gateway = gateway
        self._socket = gateway.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.connect((address, port))

    def interface(self, device):
        """The number of a device of the gateway's namespace."""
        return int(self.gateway.namespace.run("cat", f"/sys/class/net/{device}/ifindex"))

    def send(self, *messages):
        """Sends messages in one frame."""
        payload = b"".join(messages)
        self.send_bytes(struct.pack("!BBH", 1, 1, 4 + len(payload)) + payload)

    def send_bytes(self, data):
        """Sends bytes, whatever they are."""
        self._socket.sendall(data)

    def ended(self):
        """True once the gateway has closed the connection; waits for it."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        """Ends the connection."""
        self._socket.close()
