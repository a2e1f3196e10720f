"""The far ends of the gateway's wires: raw packet sockets in namespaces whose Linux is silent."""

import contextlib
import ctypes
import os
import select
import socket
import time

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
RECEIVE_BUFFER_FORCE = 33  # SO_RCVBUFFORCE
ALL_PROTOCOLS = 3  # ETH_P_ALL
ETHER_TYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}


@contextlib.contextmanager
def inside(namespace):
    """This thread in another network namespace; sockets made there stay there."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace.name}", "rb") as there:
        if LIBC.setns(there.fileno(), NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace.name)
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), NEW_NETWORK)


class Station:
    """Sends IP packets to the gateway as frames, and hears every frame that the gateway sends on this wire."""

    def __init__(self, namespace, device, mac):
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.gateway_mac = None
        self.frames = []  # all that was heard since the last clear()
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
            self._socket.setsockopt(socket.SOL_SOCKET, RECEIVE_BUFFER_FORCE, 16 << 20)
            self._socket.bind((device, ALL_PROTOCOLS))
        self._socket.setblocking(False)

    def send(self, *packets):
        """Sends IP packets (bytes)."""
        for packet in packets:
            self._socket.send(self.gateway_mac + self.mac + ETHER_TYPE[packet[0] >> 4] + packet)

    def listen(self, timeout=0.0):
        """Takes in what has come, waiting for the first frame at most so long; returns the new IP packets (bytes).

        Neighbour discovery and its kin between the gateway's Linux and nobody are no packets of ours.
        """
        select.select([self._socket], [], [], timeout)
        packets = []
        while True:
            try:
                frame, address = self._socket.recvfrom(65536)
            except BlockingIOError:
                return packets
            if address[2] == socket.PACKET_OUTGOING:
                continue
            self.frames.append(frame)
            if frame[:6] == self.mac and frame[12:14] in ETHER_TYPE.values():
                packets.append(trimmed(frame[14:]))

    def receive(self, count, timeout=5.0):
        """The next IP packets to this station, so many; fewer after the timeout."""
        packets = []
        deadline = time.monotonic() + timeout
        while len(packets) < count and time.monotonic() < deadline:
            packets += self.listen(deadline - time.monotonic())
        return packets

    def clear(self):
        """Forgets what was heard."""
        self.frames.clear()


def trimmed(packet):
    """Without Ethernet's padding."""
    length = int.from_bytes(packet[2:4], "big") if packet[0] >> 4 == 4 else 40 + int.from_bytes(packet[4:6], "big")
    return packet[:length]
