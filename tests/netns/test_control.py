"""Changing a gateway by hand, streams of events and packets, refusals, and who may use the control socket."""

import json
import os
import secrets
import signal
import socket
import struct
import subprocess

import pytest

from client import ControlClient
from lab import build_folder
from shell import run, wait_for
from traffic import ping

CTL = build_folder() / "dataplane" / "penstockctl"


def ctl(gateway, *words, text_input=None, before=()):
    """Runs penstockctl to its end; returns exit status, standard output and standard error."""
    done = subprocess.run(
        [*before, str(CTL), "--socket", str(gateway.folder / "control.sock"), *[str(word) for word in words]],
        input=text_input, capture_output=True, text=True, timeout=30, check=False,
    )
    return done.returncode, done.stdout, done.stderr


def start(gateway, *words, **options):
    """Starts penstockctl."""
    return subprocess.Popen([str(CTL), "--socket", str(gateway.folder / "control.sock"), *words],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def interrupt(process):
    """Ends a stream as Ctrl-C does; returns exit status and what it printed."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


def test_a_tunnel_made_by_hand_carries_traffic(network, tmp_path):
    left, right = network.sites
    key_there, key_back = secrets.token_hex(36), secrets.token_hex(36)
    key_file = tmp_path / "there.key"
    key_file.write_text(key_there + "\n")
    key_file.chmod(0o600)
    for site, other, number in ((left, right, 1), (right, left, 2)):
        gateway = site.gateway
        gateway.ctl("add", "tunnel", "hand", "--if-id", 77, "--local", f"192.0.2.{number}", "--remote", f"192.0.2.{3 - number}",
                    "--address", f"169.254.7.{number}/30")
        for direction in ("in", "out"):
            outbound_of_left = (direction == "out") == (number == 1)
            words = ["add", "sa", "--tunnel", "hand", "--direction", direction, "--suite", "aes-gcm-16-256",
                     "--spi", "0x7001" if outbound_of_left else "0x7002"]
            if outbound_of_left:
                status, _, error = ctl(gateway, *words, "--key-file", key_file)
            else:
                status, _, error = ctl(gateway, *words, "--key-stdin", text_input=key_back)
            assert (status, error) == (0, "")
        gateway.ctl("add", "route", f"10.7.{3 - number}.0/24", "--via", "tunnel=hand")
        site.host.address("lo", f"10.7.{number}.1/32")
        gateway.ctl("add", "route", f"10.7.{number}.0/24", "--via", f"address={site.host_address},port=lan0")
    try:
        ping(left.host, "10.7.2.1", options=["-I", "10.7.1.1"])
        ping(right.host, "10.7.1.1", options=["-I", "10.7.2.1"])
        left.gateway.namespace.run("ping", "-c", 2, "-i", 0.1, "-W", 2, "169.254.7.2")
        assert left.gateway.tunnel("hand").source == "control"
        status, _, error = ctl(left.gateway, "add", "sa", "--tunnel", "hand", "--direction", "in", "--suite", "aes-gcm-16-256",
                               "--spi", "0x7002", "--key-stdin", text_input=key_back)
        assert status == 1 and "0x00007002" in error
    finally:
        for site, number in ((left, 1), (right, 2)):
            site.gateway.ctl("delete", "route", f"10.7.{3 - number}.0/24")
            site.gateway.ctl("delete", "route", f"10.7.{number}.0/24")
            if number == 1:
                site.gateway.ctl("delete", "sa", "0x7001", "--direction", "out")
            site.gateway.ctl("delete", "tunnel", "hand")
    for site in network.sites:
        assert [row.name for row in site.gateway.control.show("tunnels")] == ["tun1"]
        assert site.gateway.sas() == {}
        assert "hand" not in site.gateway.namespace.run("ip", "-o", "link")


@pytest.mark.drops("no_outbound_sa")
def test_what_cannot_be_done_is_refused_with_its_reason(network):
    gateway = network.sites[0].gateway
    network.pair()
    before = gateway.ctl("--json", "show", "routes"), gateway.ctl("--json", "show", "tunnels", "--json").count("name")
    sa = ["add", "sa", "--direction", "in", "--suite", "aes-gcm-16-256", "--key-stdin"]
    key = "00" * 36
    for words, text_input, named in (
        (["delete", "tunnel", "tun1"], None, ["tun1", "configuration"]),
        (["delete", "tunnel", "none"], None, ["none"]),
        (["delete", "sa", "0x9999"], None, ["0x00009999"]),
        (["delete", "route", "10.99.0.0/16"], None, ["10.99.0.0/16"]),
        (["add", "tunnel", "tun1", "--if-id", 9, "--local", "192.0.2.1", "--remote", "192.0.2.2"], None, ["tun1"]),
        (["add", "tunnel", "other", "--if-id", 1, "--local", "192.0.2.1", "--remote", "192.0.2.2"], None, ["if_id", "1"]),
        (["add", "tunnel", "other", "--if-id", 9, "--local", "192.0.2.1", "--remote", "2001:db8::1"], None, ["2001:db8::1"]),
        (["add", "route", "10.99.0.0/16", "--via", "tunnel=none"], None, ["none"]),
        ([*sa, "--tunnel", "none", "--spi", "0x9001"], key, ["none"]),
        ([*sa, "--tunnel", "tun1", "--spi", "0x9001"], key[2:], ["35", "36"]),
        (["show", "tunnels", "none"], None, ["none"]),
        (["show", "ports", "none"], None, ["none"]),
        (["capture", "port", "none", "--write", "/dev/null"], None, ["none"]),
        (["capture", "drop", "no_such_reason", "--write", "/dev/null"], None, ["no_such_reason"]),
        (["capture", "port", "wan0", "--filter", "tcp prot 1", "--write", "/dev/null"], None, ["tcp prot 1"]),
    ):
        status, out, error = ctl(gateway, *words, text_input=text_input)
        assert (status, out) == (1, ""), (words, status, out, error)
        assert all(word in error for word in named), (words, error)
        assert len(error.strip()) > 20 and error.startswith("penstockctl: "), error
    assert before == (gateway.ctl("--json", "show", "routes"), gateway.ctl("--json", "show", "tunnels", "--json").count("name"))


def test_exit_status_tells_usage_from_refusal_from_silence(network, tmp_path):
    gateway = network.sites[0].gateway
    sa = ["add", "sa", "--tunnel", "tun1", "--direction", "in", "--suite", "aes-gcm-16-256"]
    for words, text_input, named in (
        (["show"], None, []),
        (["show", "nothing"], None, ["nothing"]),
        (["lookup", "10.2.0"], None, ["10.2.0"]),
        ([*sa, "--spi", "0x9001"], None, ["--key-file", "--key-stdin"]),
        ([*sa, "--spi", "0x9001", "--key-stdin"], "xyz", []),
        ([*sa, "--spi", "0x9001", "--key-file", tmp_path / "none.key"], None, ["none.key"]),
        ([*sa, "--spi", "0x90010000000", "--key-stdin"], "00" * 36, ["0x90010000000"]),
        (["add", "route", "10.99.0.0/33", "--via", "tunnel=tun1"], None, ["10.99.0.0/33"]),
        (["add", "route", "10.99.0.0/16"], None, ["--via", "--action"]),
        (["watch", "nothing"], None, ["nothing"]),
        (["capture", "port", "wan0"], None, ["--write"]),
    ):
        status, out, error = ctl(gateway, *words, text_input=text_input)
        assert (status, out) == (2, ""), (words, status, out, error)
        assert all(word in error for word in named), (words, error)
    nobody = subprocess.run([str(CTL), "--socket", str(tmp_path / "none.sock"), "show", "status"],
                            capture_output=True, text=True, check=False)
    assert nobody.returncode == 3 and "none.sock" in nobody.stderr
    assert ctl(gateway, "show", "status")[0] == 0


def test_a_key_on_the_command_line_is_refused(network):
    gateway = network.sites[0].gateway
    for option in ("--key", "--key-hex"):
        status, _, error = ctl(gateway, "add", "sa", "--tunnel", "tun1", "--direction", "in", "--spi", "0x9001",
                               "--suite", "aes-gcm-16-256", option, "ab" * 36)
        assert status == 2 and "ab" * 36 not in error
    assert gateway.sas() == {}


def test_keys_are_seen_nowhere(network, tmp_path):
    left, right = network.sites
    gateway = left.gateway
    gateway.ctl("set", "log-level", "trace")
    try:
        pair = network.pair()
        file = tmp_path / "key"
        by_hand = secrets.token_hex(36)
        file.write_text(by_hand)
        process = start(gateway, "add", "sa", "--tunnel", "tun1", "--direction", "in", "--spi", "0x9001", "--suite",
                        "aes-gcm-16-256", "--key-stdin", stdin=subprocess.PIPE)
        with open(f"/proc/{process.pid}/cmdline", encoding="ascii") as line:
            seen = line.read()
        process.communicate(by_hand)
        assert process.returncode == 0
        assert ctl(gateway, "add", "sa", "--tunnel", "tun1", "--direction", "in", "--spi", "0x9002", "--suite",
                   "aes-gcm-16-256", "--key-file", file)[0] == 0
        # A key that is refused is not told either.
        _, _, error = ctl(gateway, "add", "sa", "--tunnel", "tun1", "--direction", "in", "--spi", "0x9003", "--suite",
                          "aes-gcm-16-128", "--key-file", file)
        ping(left.host, right.host_address)
        seen += error + gateway.log.read_text()
        for what in ("status", "tunnels", "sas", "policies", "routes"):
            seen += gateway.ctl("--json", "show", what) + gateway.ctl("show", what, "--detail")
        with open(f"/proc/{gateway.process.pid}/cmdline", encoding="ascii") as line:
            seen += line.read()
    finally:
        gateway.ctl("set", "log-level", "info")
        for spi in ("0x9001", "0x9002"):
            ctl(gateway, "delete", "sa", spi)
    for key in [by_hand, *[key.hex() for key in pair.keys]]:
        for part in (key[:16], key[16:32], key[-16:]):
            assert part not in seen.lower().replace(" ", "").replace(":", "")


def test_memory_with_keys_is_in_no_core_file(network):
    process = network.sites[0].gateway.process
    with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
        line = next(line for line in limits if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]
    # A process that must not be dumped: its memory is root's, whoever it runs as.
    assert run("stat", "-c", "%U", f"/proc/{process.pid}/mem").strip() == "root"


def test_other_users_cannot_reach_the_sockets(network):
    gateway = network.sites[0].gateway
    run("chmod", "0711", gateway.folder.parent)  # the test's own folder is closed to all
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for name in ("control.sock", "sa.sock"):
        assert os.stat(gateway.folder / name).st_mode & 0o007 == 0
        script = (
            "import socket,sys\ns = socket.socket(socket.AF_UNIX)\n"
            "try:\n s.connect(sys.argv[1])\nexcept PermissionError:\n sys.exit(7)\n"
        )
        refused = subprocess.run([*nobody, "/usr/bin/python3", "-c", script, str(gateway.folder / name)], check=False)
        assert refused.returncode == 7
    status, _, error = ctl(gateway, "show", "status", before=nobody)
    assert status == 3 and "no right" in error and "control.sock" in error
    assert ctl(gateway, "show", "status")[0] == 0


@pytest.mark.parametrize("bytes_sent", [
    struct.pack("!I", 5) + b"\xff\xff\xff\xff\xff", struct.pack("!I", 0xFFFFFFFF), struct.pack("!I", (16 << 20) + 1),
    struct.pack("!I", 0), b"GET / HTTP/1.1\r\n\r\n", struct.pack("!I", 1000) + b"short", b"\x00\x00",
], ids=["no-message", "four-gigabytes", "above-limit", "empty", "http", "cut", "half-a-length"])
def test_a_malformed_frame_ends_its_connection_alone(network, bytes_sent):
    gateway = network.sites[0].gateway
    other = ControlClient(gateway.folder / "control.sock")
    bad = ControlClient(gateway.folder / "control.sock")
    bad.socket.sendall(bytes_sent)
    assert other.status().instance == gateway.name
    bad.socket.shutdown(socket.SHUT_WR)
    left_over = b""
    while piece := bad.socket.recv(65536):
        left_over += piece
    bad.close()
    assert other.status().instance == gateway.name
    other.close()
    assert gateway.running()


def test_a_client_that_never_reads_hinders_nobody(network):
    gateway = network.sites[0].gateway
    deaf = ControlClient(gateway.folder / "control.sock")
    request = struct.pack("!I", 4) + b"\x08\x01\x52\x00"
    deaf.socket.settimeout(0.5)
    try:
        for _ in range(20000):
            deaf.socket.sendall(request)
    except (TimeoutError, ConnectionError):
        pass  # it may stop us or close: both are right
    assert gateway.control.status().instance == gateway.name
    assert ctl(gateway, "show", "status")[0] == 0
    deaf.close()


def test_events_tell_what_happens(network):
    gateway = network.sites[0].gateway
    stream = start(gateway, "--json", "events")
    text = start(gateway, "events")
    try:
        # A tunnel that comes and goes until the first line shows that both listen.
        for process in (stream, text):
            listen(gateway, process)
        pair = network.pair()
        gateway.ctl("add", "tunnel", "seen", "--if-id", 50, "--local", "192.0.2.1", "--remote", "192.0.2.3")
        gateway.ctl("delete", "tunnel", "seen")
        pair.remove()
        gateway.ctl("add", "tunnel", "last", "--if-id", 50, "--local", "192.0.2.1", "--remote", "192.0.2.3")
        gateway.ctl("delete", "tunnel", "last")
        lines = until(stream, lambda line: json.loads(line)["kind"] == "tunnel_deleted" and "last" in line)
        events = [json.loads(line) for line in lines]
        printed = until(text, lambda line: "tunnel_deleted" in line and "last" in line)
    finally:
        ended = [interrupt(process)[0] for process in (stream, text)]
    assert ended == [0, 0]
    kinds = [(event["kind"], event["tunnel"], event["spi"]) for event in events]
    for kind in (("sa_added", "tun1", pair.spi_out), ("sa_added", "tun1", pair.spi_in), ("tunnel_up", "tun1", 0),
                 ("tunnel_added", "seen", 0), ("tunnel_deleted", "seen", 0), ("sa_deleted", "tun1", pair.spi_out)):
        assert any(kind[:2] == seen[:2] and kind[2] in (0, seen[2]) for seen in kinds), (kind, kinds)
    assert all(event["text"] for event in events)
    assert any(f"0x{pair.spi_out:08x}" in line and "sa_added" in line for line in printed)


def listen(gateway, process):
    """Makes events until the stream prints the first one."""
    os.set_blocking(process.stdout.fileno(), False)

    def heard():
        gateway.ctl("add", "tunnel", "probe", "--if-id", 49, "--local", "192.0.2.1", "--remote", "192.0.2.3")
        gateway.ctl("delete", "tunnel", "probe")
        return process.stdout.readline()

    wait_for(heard, "the first event")
    os.set_blocking(process.stdout.fileno(), True)


def until(process, last):
    """The lines of a stream up to the one for which `last` is true."""
    lines = []
    while line := process.stdout.readline():
        if not line.strip():
            continue
        lines.append(line)
        if last(line):
            return lines
    raise AssertionError(f"the stream ended: {process.stderr.read()}")
