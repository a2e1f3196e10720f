"""A probe stream: UDP packets with sequence numbers both ways between two namespaces, and what became of each.

Run as a program (with a JSON description as its argument) it is the process that sends, receives and remembers; `Flow` is
its handle. One process holds both ends, so that one clock measures both.
"""

import contextlib
import ctypes
import dataclasses
import json
import pathlib
import resource
import selectors
import socket
import struct
import subprocess
import sys
import time

HEADER = struct.Struct("!IIQ")  # mark, direction, sequence
MARK = 0x50524F42
LATE_SECONDS = 1.0  # a packet that is not there after so long is lost
DIRECTIONS = ("forward", "backward")


@dataclasses.dataclass
class Result:
    """What became of the packets that were sent one way during a while."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    duplicates: int = 0
    lossy_ms: float = 0.0  # from the first lost packet to the last one
    longest_outage_ms: float = 0.0  # of one flow: from its first lost packet to its next one that arrived

    def __str__(self):
        if not self.lost:
            return f"none of {self.sent} lost"
        return f"{self.lost} of {self.sent} lost within {self.lossy_ms:.0f} ms, longest outage of a flow {self.longest_outage_ms:.0f} ms"


class Report(dict):
    """A `Result` by direction, "forward" and "backward", and their sums."""

    @property
    def lost(self):
        """Packets lost in both directions."""
        return sum(result.lost for result in self.values())

    @property
    def sent(self):
        """Packets sent in both directions."""
        return sum(result.sent for result in self.values())

    @property
    def outage_ms(self):
        """The longest outage of any flow."""
        return max(result.longest_outage_ms for result in self.values())

    def __str__(self):
        return "; ".join(f"{direction}: {result}" for direction, result in self.items())


class Window:
    """A while of a flow; its `report` is there after the block."""

    def __init__(self):
        self.report = None


class Flow:
    """A running probe stream. "forward" is from `left` to `right`.

    `rate` is in packets a second and direction, spread over `flows` flows, which differ in their UDP ports.
    """

    # pylint: disable-next=too-many-arguments
    def __init__(self, lab, left, left_address, right, right_address, flows=1, rate=300, size=100, port=20000):
        self.flows, self.rate = flows, rate
        self._plan = {
            "spaces": [left.name, right.name], "addresses": [left_address, right_address],
            "flows": flows, "rate": rate, "size": size, "port": port,
        }
        self._process = None
        lab.peers.append(self)

    def start(self):
        """Begins to send."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(self._plan)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def _ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the probe stream has ended")
        return json.loads(answer)

    def report(self, since=0.0, until=None):
        """What became of the packets sent between two times of time.monotonic(); those on their way now are left out."""
        latest = time.monotonic() - LATE_SECONDS
        return self._report(since, latest if until is None else min(until, latest))

    def _report(self, since, until):
        answer = self._ask(since=since, until=until)
        return Report((direction, Result(**answer[direction])) for direction in DIRECTIONS)

    @contextlib.contextmanager
    def window(self):
        """What is sent inside the block is reported when the last of it must have arrived."""
        window = Window()
        since = time.monotonic()
        yield window
        until = time.monotonic()
        time.sleep(LATE_SECONDS)
        window.report = self._report(since, until)

    def wait_whole(self, seconds=1.0, timeout=60):
        """Waits until all flows, in both directions, have lost nothing for so long, counted from now on. Returns the seconds waited."""
        began = time.monotonic()
        # Long enough for each flow to have sent something.
        seconds = max(seconds, 1.5 * self.flows / self.rate)
        while True:
            until = time.monotonic() - LATE_SECONDS
            report = self._report(until - seconds, until)
            enough = all(result.sent >= 0.5 * seconds * self.rate for result in report.values())
            if until - seconds >= began and enough and report.lost == 0:
                return time.monotonic() - began
            if time.monotonic() > began + timeout:
                raise TimeoutError(f"waited {timeout} s in vain for the probes to arrive; in the last {seconds:.1f} s {report}")
            time.sleep(0.1)

    def close(self):
        """Ends it."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    stop = close


class _End:
    """Both ends of all flows, with what was sent and received."""

    def __init__(self, plan):
        self.plan = plan
        self.flows, self.interval = plan["flows"], 1.0 / plan["rate"]
        self.padding = bytes(plan["size"] - HEADER.size)
        self.sent = ([], [])
        self.received = ([], [])
        self.duplicates = [0, 0]
        self.selector = selectors.DefaultSelector()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two sockets a flow
        self.sockets = ([], [])
        for side in (0, 1):
            _enter(plan["spaces"][side])
            for number in range(self.flows):
                self.sockets[side].append(self._socket(side, number))

    def _socket(self, side, number):
        plan = self.plan
        family = socket.AF_INET6 if ":" in plan["addresses"][side] else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setblocking(False)
        # One of the two ends has the same port in all flows, as a service has.
        ports = (plan["port"] + 1 + number, plan["port"])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((plan["addresses"][side], ports[side]))
        made.connect((plan["addresses"][1 - side], ports[1 - side]))
        self.selector.register(made, selectors.EVENT_READ, side)
        return made

    def run(self):
        """Sends in time, takes in what arrives, and answers the parent, until the parent is gone."""
        self.selector.register(sys.stdin, selectors.EVENT_READ, None)
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                self._send()
                # After a stall the machine is not flooded with what it missed.
                due = max(due + self.interval, now - 0.02)
                continue
            for key, _ in self.selector.select(due - now):
                if key.data is None:
                    if not self._answer():
                        return
                else:
                    self._receive(key.fileobj, key.data)

    def _send(self):
        for side in (0, 1):
            sequence = len(self.sent[side])
            self.received[side].append(0.0)
            self.sent[side].append(time.monotonic())
            with contextlib.suppress(OSError):  # unreachable, refused, no room: it is lost
                self.sockets[side][sequence % self.flows].send(HEADER.pack(MARK, side, sequence) + self.padding)

    def _receive(self, sock, side):
        while True:
            try:
                data = sock.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error for something sent earlier
            mark, direction, sequence = HEADER.unpack_from(data)
            if mark != MARK or direction != 1 - side:
                continue
            if self.received[direction][sequence]:
                self.duplicates[direction] += 1
            else:
                self.received[direction][sequence] = time.monotonic()

    def _answer(self):
        line = sys.stdin.readline()
        if not line:
            return False
        asked = json.loads(line)
        answer = {name: self._result(side, asked["since"], asked["until"]) for side, name in enumerate(DIRECTIONS)}
        print(json.dumps(answer), flush=True)
        return True

    def _result(self, side, since, until):
        result = Result(duplicates=self.duplicates[side])
        lost, began, longest = [], {}, 0.0
        for sequence, (sent, received) in enumerate(zip(self.sent[side], self.received[side])):
            if not since <= sent <= until:
                continue
            result.sent += 1
            flow = sequence % self.flows
            if received and received - sent <= LATE_SECONDS:
                result.received += 1
                if flow in began:
                    longest = max(longest, sent - began.pop(flow))
            else:
                lost.append(sent)
                began.setdefault(flow, sent)
        result.lost = len(lost)
        if lost:
            result.lossy_ms = 1000 * (lost[-1] - lost[0] + self.interval)
            # A flow that is still interrupted counts as far as the end of the while.
            result.longest_outage_ms = 1000 * max([longest, *[min(until, self.sent[side][-1]) - at for at in began.values()]])
        return dataclasses.asdict(result)


def _enter(name):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(pathlib.Path("/run/netns") / name, encoding="ascii") as space:
        if libc.setns(space.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter namespace {name}")


if __name__ == "__main__":
    _End(json.loads(sys.argv[1])).run()
