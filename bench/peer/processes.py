"""Child programs that never outlive this one, and what they have done so far."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
NICE = -10


class PeerError(Exception):
    """What went wrong, in one sentence."""


def _prepare_child():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


class Program:
    """A running DPDK program whose ports are counted through DPDK's telemetry socket."""

    def __init__(self, arguments, prefix, log):
        self._socket_path = Path("/run/dpdk") / prefix / "dpdk_telemetry.v2"
        self._log = Path(log)
        self._socket = None
        with self._log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=_prepare_child)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._socket:
            self._socket.close()
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()
        self._socket_path.unlink(missing_ok=True)

    def _fail(self, what):
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])
        raise PeerError(f"{what}; its last lines:\n{tail}")

    def _connect(self, deadline):
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._fail(f"{self._process.args[0]} ended by itself")
            try:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._socket.settimeout(5)
                self._socket.connect(str(self._socket_path))
                self._socket.recv(16384)
                return
            except OSError:
                self._socket.close()
                time.sleep(0.05)
        self._fail(f"{self._process.args[0]} opened no telemetry socket")

    def _query(self, command, parameter):
        """None while the port is not there yet."""
        try:
            self._socket.send(f"{command},{parameter}".encode())
            return json.loads(self._socket.recv(65536)).get(command)
        except (OSError, ValueError):
            return self._fail(f"{self._process.args[0]} answers no more")

    def sent(self, port):
        stats = self._query("/ethdev/stats", port)
        return stats["opackets"] if stats else 0

    def wait_for_traffic(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        self._connect(deadline)
        while self.sent(port) == 0:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._fail(f"{self._process.args[0]} sends nothing")
            time.sleep(0.05)

    def _times(self):
        """Nanoseconds on a processor, by thread."""
        times = {}
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            times[task.name] = int((task / "schedstat").read_text().split()[0])
        return times

    def _sample(self, port, tolerance):
        """Times and packets of one moment: an answer that took long is asked for again."""
        for _ in range(50):
            before = self._times()
            sent = self.sent(port)
            after = self._times()
            if max(after[task] - before.get(task, 0) for task in after) <= tolerance:
                return before, sent
        return self._fail(f"{self._process.args[0]} answers too slowly to be measured")

    def packets_per_second(self, port, seconds):
        """Of processor time of the polling thread, so that other work on its core is left out."""
        time.sleep(0.3)
        tolerance = seconds * 1e9 / 50
        times, sent = self._sample(port, tolerance)
        time.sleep(seconds)
        times_after, sent_after = self._sample(port, tolerance)
        polled = max(times_after[task] - times.get(task, 0) for task in times_after)
        if sent_after == sent or polled == 0:
            self._fail(f"{self._process.args[0]} stopped sending")
        return (sent_after - sent) * 1e9 / polled


def run_json(arguments):
    """Runs a program to its end; what it prints is JSON."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False,
                          preexec_fn=_prepare_child)
    if done.returncode != 0:
        raise PeerError(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


class Hugepages:
    """Reserves 2 MiB pages while the comparison runs, where that is allowed."""

    FILE = Path("/proc/sys/vm/nr_hugepages")
    WANTED = 1024

    def __enter__(self):
        self._before = int(self.FILE.read_text())
        if self._before < self.WANTED and os.geteuid() == 0:
            self.FILE.write_text(f"{self.WANTED}\n")
        self.enough = int(self.FILE.read_text()) >= self.WANTED // 2
        return self

    def __exit__(self, *_):
        if int(self.FILE.read_text()) != self._before:
            self.FILE.write_text(f"{self._before}\n")
