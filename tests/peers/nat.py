"""Routers that get in the way: NAT that changes its mind about ports, and cuts of what passes."""

import socket
import struct

from shell import run

NETLINK_NETFILTER = 12
CONNTRACK_DELETE = (1 << 8) | 2  # subsystem ctnetlink, message delete; without a tuple it means all
REQUEST_WITH_ACK = 0x0005


def forget_connections(namespace):
    """Forgets every NAT mapping and connection of a namespace."""
    netlink = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    with netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            netlink.send(struct.pack("=IHHII", 20, CONNTRACK_DELETE, REQUEST_WITH_ACK, 1, 0) + struct.pack("=BBH", family, 0, 0))
            answer = netlink.recv(4096)
            (error,) = struct.unpack_from("=i", answer, 16)
            if error:
                raise OSError(-error, f"conntrack of {namespace.name} cannot be flushed")


class Nat:
    """Makes a namespace a router that hides what is behind it behind the address of its outer device."""

    def __init__(self, namespace, outside, ports=(20000, 29999)):
        self.namespace = namespace
        self.outside = outside
        namespace.forward()
        self.remap(*ports)

    def remap(self, first, last):
        """UDP is mapped to these ports from now on, also of connections that are under way."""
        self.namespace.run("nft", "-f", "-", text_input=f"""
table ip nat {{}}
flush table ip nat
table ip nat {{
  chain out {{
    type nat hook postrouting priority srcnat
    oifname {self.outside} meta l4proto udp masquerade to :{first}-{last}
    oifname {self.outside} masquerade
  }}
}}
""")
        forget_connections(self.namespace)

    def forget(self):
        """Forgets the mappings, as a NAT does that has been silent for long or has restarted."""
        forget_connections(self.namespace)


class Cut:
    """Drops what a router forwards and an nftables expression matches, from `cut` to `mend`. Also a context manager."""

    _number = 0

    def __init__(self, namespace, *expressions):
        Cut._number += 1
        self.namespace = namespace
        self.expressions = expressions or ("",)
        self.table = f"cut{Cut._number}"
        self._made = False

    def cut(self):
        """From here on nothing that matches passes, either way."""
        rules = "\n".join(f"{expression} counter drop" for expression in self.expressions)
        # Before conntrack, so that a NAT does not see it either; and for what the router itself is given.
        self.namespace.run("nft", "-f", "-", text_input=(
            f"table inet {self.table} {{\nchain pass {{\ntype filter hook prerouting priority -400\n{rules}\n}}\n}}\n"))
        self._made = True
        return self

    def mend(self):
        """All passes again."""
        if self._made:
            run("ip", "netns", "exec", self.namespace.name, "nft", "delete", "table", "inet", self.table)
            self._made = False

    def __enter__(self):
        return self.cut()

    def __exit__(self, *_):
        self.mend()
