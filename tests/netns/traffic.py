"""Traffic between hosts of the lab, and captures of what is on a wire."""

import json
import re
import subprocess
import tempfile

from shell import run, wait_for


class Ping:
    """A running ping whose losses are counted. Use it as a context manager; leaving ends it."""

    def __init__(self, host, destination, every_ms=5, size=56, options=()):
        self.lost = None
        self.sent = None
        self.received = None
        self._file = tempfile.TemporaryFile("w+")
        family = "-6" if ":" in destination else "-4"
        self._process = host.popen(
            "ping", family, "-n", "-i", str(every_ms / 1000), "-s", str(size), *options, destination,
            stdout=self._file, stderr=subprocess.STDOUT,
        )

    def output(self):
        """All that ping has printed."""
        self._file.seek(0)
        return self._file.read()

    def replies(self):
        """How many replies have come."""
        return self.output().count("bytes from")

    def wait_for(self, replies, timeout=20):
        """Waits for so many further replies."""
        wanted = self.replies() + replies
        wait_for(lambda: self.replies() >= wanted, f"{wanted} ping replies", timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(2)
        self._process.wait(timeout=10)
        match = re.search(r"(\d+) packets transmitted, (\d+) received", self.output())
        self.sent, self.received = int(match[1]), int(match[2])
        # The request under way when ping was told to stop is no loss.
        last = max((int(n) for n in re.findall(r"icmp_seq=(\d+)", self.output())), default=0)
        self.lost = last - self.received if self.received else self.sent


def ping(host, destination, count=3, size=56, every_ms=20, options=(), check=True):
    """Sends `count` pings and returns how many came back; with `check`, all must."""
    family = "-6" if ":" in destination else "-4"
    output = host.run(
        "ping", family, "-n", "-c", count, "-i", every_ms / 1000, "-W", "2", "-s", size, *options, destination,
        check=False, timeout=60,
    )
    match = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    received = int(match[2]) if match else 0
    if check and received != count:
        raise AssertionError(f"{received} of {count} pings of {size} bytes to {destination} came back\n{output}")
    return received


def iperf(client, server, address, seconds=3, options=()):
    """iperf3 from one host to another; returns its JSON."""
    daemon = server.popen("iperf3", "-s", "-1", "-B", address, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201" in server.run("ss", "-ltn"), "iperf3 to listen")
        return json.loads(
            client.run("iperf3", "-c", address, *([] if "-n" in options else ["-t", seconds]), "-J", *options, timeout=seconds + 30)
        )
    finally:
        daemon.kill()
        daemon.wait()


class Capture:
    """tcpdump on one device of a namespace, read with scapy when it has ended."""

    def __init__(self, namespace, device, expression=""):
        self._file = tempfile.NamedTemporaryFile(suffix=".pcap")
        self._process = namespace.popen(
            "tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w", self._file.name,
            *([expression] if expression else []),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self._process.stderr.readline()  # "tcpdump: listening on ..."
        self.path = self._file.name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the capture; what was seen so far is kept."""
        if self._process.poll() is None:
            self._process.send_signal(2)
            self._process.wait(timeout=10)

    def packets(self):
        """The packets seen, as scapy's."""
        from scapy.utils import rdpcap  # pylint: disable=import-outside-toplevel

        return list(rdpcap(self.path))

    def count(self, display_filter):
        """How many packets tshark's display filter matches."""
        return len(run("tshark", "-n", "-r", self.path, "-Y", display_filter).splitlines())
