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


class EventStream(FramedSocket):
    """The events of the control socket, on a connection of their own."""

    def __init__(self, path):
        super().__init__(path, timeout=0.1)
        self.receive(control_pb.Hello)
        request = control_pb.Request(id=1)
        request.watch_events.SetInParent()
        self.send(request)
        self.seen = []
        self._data = b""

    def poll(self):
        """Takes in what has come."""
        try:
            self._data += self.socket.recv(1 << 16)
        except TimeoutError:
            return
        while len(self._data) >= 4:
            (length,) = struct.unpack("!I", self._data[:4])
            if len(self._data) < 4 + length:
                return
            reply = control_pb.Reply.FromString(self._data[4:4 + length])
            self._data = self._data[4 + length:]
            if reply.HasField("event"):
                self.seen.append(reply.event)

    def of(self, kind, **fields):
        """Events of a kind so far whose fields have these values."""
        self.poll()
        return [event for event in self.seen if event.kind == kind
                and all(getattr(event, name) == value for name, value in fields.items())]


class SaClient(FramedSocket):
    """The SA socket: what an IKE daemon speaks."""

    def __init__(self, path, greet=True):
        super().__init__(path)
        self._ids = itertools.count(1)
        self.events = []
        self.hello = self.receive(sa_pb.ServerMessage).hello
        if greet:
            hello = sa_pb.ClientMessage()
            hello.hello.protocol_version = self.hello.protocol_version
            hello.hello.software = "scenario tests"
            self.send(hello)

    def call(self, operation, **fields):
        """Sends one request and returns its reply; events that come first are kept."""
        message = sa_pb.ClientMessage()
        message.request.id = next(self._ids)
        content = getattr(message.request, operation)
        content.SetInParent()
        content.MergeFrom(type(content)(**fields))
        self.send(message)
        while True:
            answer = self.receive(sa_pb.ServerMessage)
            if answer.HasField("event"):
                self.events.append(answer.event)
                continue
            assert answer.reply.id == message.request.id
            if answer.reply.HasField("error"):
                raise Refused(answer.reply.error)
            return answer.reply

    def next_event(self, kind, timeout=10):
        """The next event of a kind: expire, acquire or mapping_changed."""
        for number, event in enumerate(self.events):
            if event.HasField(kind):
                return getattr(self.events.pop(number), kind)
        self.socket.settimeout(timeout)
        while True:
            event = self.receive(sa_pb.ServerMessage).event
            if event.HasField(kind):
                return getattr(event, kind)
            self.events.append(event)
