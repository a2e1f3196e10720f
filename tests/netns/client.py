"""Clients of the daemon's two sockets in Python, over the same protobuf messages as everybody's."""

import importlib
import itertools
import os
import pathlib
import socket
import struct
import sys

BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
sys.path.insert(0, str(BUILD / "tests" / "python"))

control_pb = importlib.import_module("config.control_pb2")
sa_pb = importlib.import_module("ike_bridge.sa_api_pb2")


class Refused(Exception):
    """The daemon answered with an error: code and message."""

    def __init__(self, error):
        super().__init__(f"{error.code}: {error.message}")
        self.code = error.code
        self.message = error.message


class FramedSocket:
    """Frames of 4 bytes length (network order) and a message over a Unix stream socket."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))

    def send(self, message):
        """Sends one message."""
        self.send_bytes(message.SerializeToString())

    def send_bytes(self, data):
        """Sends one frame with these bytes, whatever they are."""
        self.socket.sendall(struct.pack("!I", len(data)) + data)

    def receive(self, kind):
        """Receives one message of a type."""
        (length,) = struct.unpack("!I", self._exactly(4))
        message = kind()
        message.ParseFromString(self._exactly(length))
        return message

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the daemon closed the connection")
            data += piece
        return data

    def close(self):
        """Closes the connection."""
        self.socket.close()


class ControlClient(FramedSocket):
    """The control socket: what penstockctl speaks."""

    def __init__(self, path):
        super().__init__(path)
        self._ids = itertools.count(1)
        self.hello = self.receive(control_pb.Hello)

    def call(self, body, message):
        """Sends one request and returns all of its replies."""
        request = control_pb.Request(id=next(self._ids))
        getattr(request, body).CopyFrom(message)
        self.send(request)
        replies = []
        while True:
            reply = self.receive(control_pb.Reply)
            if reply.HasField("error"):
                raise Refused(reply.error)
            replies.append(reply)
            if not reply.more:
                return replies

    def show(self, what, **options):
        """The rows of `show WHAT`: ports, tunnels, sas, routes, drops, ..."""
        kind = getattr(control_pb, "Show" + what.capitalize())
        rows = []
        for reply in self.call("show_" + what, kind(**options)):
            rows += list(getattr(getattr(reply, what), what))
        return rows

    def status(self):
        """show status."""
        return self.call("show_status", control_pb.ShowStatus())[0].status

    def counters(self):
        """show counters."""
        return self.call("show_counters", control_pb.ShowCounters())[0].counters

    def lookup(self, destination, **flow):
        """Where a packet would go."""
        return self.call("lookup", control_pb.Lookup(destination=destination, **flow))[0].lookup

    def add_sa(self, **fields):
        """Installs one SA."""
        self.call("add_sa", control_pb.AddSa(**fields))

    def delete_sa(self, spi, direction):
        """Removes one SA."""
        self.call("delete_sa", control_pb.DeleteSa(spi=spi, direction=direction))

    def add_route(self, prefix, via=(), action=""):
        """Adds or replaces a route made by hand."""
        self.call("add_route", control_pb.AddRoute(
            prefix=prefix, via=[control_pb.RouteVia(**hop) for hop in via], action=action))

    def delete_route(self, prefix):
        """Removes a route made by hand."""
        self.call("delete_route", control_pb.DeleteRoute(prefix=prefix))


class SaClient(FramedSocket):
    """The SA socket: what an IKE daemon speaks."""

    def __init__(self, path):
        super().__init__(path)
        self._ids = itertools.count(1)
        self.hello = self.receive(sa_pb.Hello)
