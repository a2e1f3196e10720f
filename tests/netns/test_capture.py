"""Captures by penstockctl: readable by tshark, with filter, limit and the reason of each drop."""

import os
import signal
import stat
import subprocess

import pytest

from lab import build_folder
from shell import run, wait_for
from traffic import ping


class CtlCapture:
    """A running `penstockctl capture`."""

    def __init__(self, gateway, file, *words):
        self.file = file
        self._process = subprocess.Popen(
            [str(build_folder() / "dataplane" / "penstockctl"), "--socket", str(gateway.folder / "control.sock"),
             "capture", *[str(word) for word in words], "--write", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        # The section header is written when the capture has begun.
        wait_for(lambda: self._process.poll() is not None or (os.path.exists(file) and os.path.getsize(file) > 0), "the capture")
        assert self._process.poll() is None, self._process.stderr.read()

    def wait(self):
        """Waits until it ends by itself; returns its summary."""
        self._process.wait(timeout=10)
        assert self._process.returncode == 0
        return self._process.stderr.read()

    def stop(self):
        """Ends it as Ctrl-C does; returns its summary."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()


def fields(file, *names, only=""):
    """These fields of every packet, by tshark."""
    words = [word for name in names for word in ("-e", name)]
    text = run("tshark", "-n", "-r", file, *(["-Y", only] if only else []), "-T", "fields", *words)
    return [tuple(line.split("\t")) for line in text.splitlines()]


def test_a_port_shows_what_is_on_its_wire(network, tmp_path):
    left, right = network.sites
    pair = network.pair()
    capture = CtlCapture(left.gateway, tmp_path / "wan0.pcapng", "port", "wan0")
    ping(left.host, right.host_address, count=5)
    summary = capture.stop()
    assert "captured" in summary
    spis = [spi for spi, in fields(capture.file, "esp.spi", only="esp")]
    assert spis.count(f"0x{pair.spi_out:08x}") == 5 and spis.count(f"0x{pair.spi_in:08x}") == 5
    assert fields(capture.file, "frame.number", only="icmp") == []
    assert stat.S_IMODE(os.stat(capture.file).st_mode) == 0o600


def test_a_tunnel_shows_its_inside(network, tmp_path):
    left, right = network.sites
    network.pair()
    capture = CtlCapture(left.gateway, tmp_path / "tun1.pcapng", "tunnel", "tun1")
    ping(left.host, right.host_address, count=4)
    ping(left.host, right.host_address6, count=4)
    capture.stop()
    assert fields(capture.file, "esp.spi", only="esp") == []
    echo = fields(capture.file, "ip.src", "ip.dst", only="icmp.type == 8 || icmp.type == 0")
    assert echo.count((left.host_address, right.host_address)) == 4
    assert echo.count((right.host_address, left.host_address)) == 4
    assert len(fields(capture.file, "frame.number", only="icmpv6.type == 128 || icmpv6.type == 129")) == 8


@pytest.mark.drops("no_route", "policy_discard", "no_outbound_sa", "blackhole")
def test_a_dropped_packet_carries_its_reason(network, tmp_path):
    left, right = network.sites
    capture = CtlCapture(left.gateway, tmp_path / "drops.pcapng", "drop")
    ping(left.host, "172.31.1.1", count=2, check=False, options=["-W", "0.2"])
    ping(left.host, right.host_address, count=3, check=False, options=["-W", "0.2"])
    left.gateway.settle()
    capture.stop()
    seen = fields(capture.file, "ip.dst", "frame.comment", only="icmp.type == 8")
    assert [comment for destination, comment in seen if destination == "172.31.1.1"] == ["no_route"] * 2 or \
        all("no_route" in comment for destination, comment in seen if destination == "172.31.1.1")
    assert len([1 for destination, comment in seen if destination == "172.31.1.1"]) == 2
    steered = [comment for destination, comment in seen if destination == right.host_address]
    assert len(steered) == 3 and all("no_outbound_sa" in comment for comment in steered)


@pytest.mark.drops("no_route", "no_outbound_sa")
def test_one_reason_alone_can_be_captured(network, tmp_path):
    left, right = network.sites
    capture = CtlCapture(left.gateway, tmp_path / "drops.pcapng", "drop", "no_outbound_sa")
    ping(left.host, "172.31.1.1", count=2, check=False, options=["-W", "0.2"])
    ping(left.host, right.host_address, count=3, check=False, options=["-W", "0.2"])
    left.gateway.settle()
    capture.stop()
    assert {destination for destination, in fields(capture.file, "ip.dst")} == {right.host_address}


def test_filter_and_limit_choose_packets(network, tmp_path):
    left, right = network.sites
    network.pair()
    filtered = CtlCapture(left.gateway, tmp_path / "six.pcapng", "port", "lan0", "--filter", f"icmp6 and host {right.host_address6}")
    ping(left.host, right.host_address, count=3)
    ping(left.host, right.host_address6, count=3)
    filtered.stop()
    assert len(fields(filtered.file, "frame.number", only="icmp")) == 0
    assert len(fields(filtered.file, "frame.number", only="icmpv6.type == 128 || icmpv6.type == 129")) == 6
    limited = CtlCapture(left.gateway, tmp_path / "four.pcapng", "port", "lan0", "--filter", "icmp", "--count", "4", "--snaplen", "60")
    ping(left.host, right.host_address, count=6)
    assert "4 packets" in limited.wait()
    assert fields(limited.file, "frame.cap_len", "frame.len") == [("60", "98")] * 4


def test_one_capture_at_a_time_and_the_next_after_it(network, tmp_path):
    left = network.sites[0]
    first = CtlCapture(left.gateway, tmp_path / "first.pcapng", "port")
    second = subprocess.run(
        [str(build_folder() / "dataplane" / "penstockctl"), "--socket", str(left.gateway.folder / "control.sock"),
         "capture", "port", "--write", str(tmp_path / "second.pcapng")], capture_output=True, text=True, timeout=10, check=False)
    assert second.returncode == 1 and "another capture is running" in second.stderr
    first.stop()
    CtlCapture(left.gateway, tmp_path / "third.pcapng", "port").stop()
