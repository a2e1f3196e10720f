"""The end of the daemon, its next start, and reloading its configuration."""

import os
import signal
import subprocess
import time

import pytest
import yaml

from client import control_pb
from lab import SaPair, build_folder
from shell import wait_for
from traffic import Capture, Ping, ping

LEFT_BEHIND = ("no_sa", "no_outbound_sa", "hold_queue_full")


def traces(gateway):
    """What a daemon has in Linux and in the file system."""
    space = gateway.namespace
    devices = {line.split(":")[1].strip().split("@")[0] for line in space.run("ip", "-o", "link").splitlines()}
    return {
        "devices": devices & {"lan0", "wan0", "tun1", "tun2"},
        "tables": space.run("nft", "list", "tables").split("\n")[:-1],
        "sockets": {name for name in ("control.sock", "sa.sock") if (gateway.folder / name).exists()},
        "rules": [line for line in space.run("ip", "rule").splitlines() if "lookup" in line and line.split()[-1].isdigit()],
    }


NOTHING = {"devices": set(), "tables": [], "sockets": set(), "rules": []}


@pytest.mark.drops(*LEFT_BEHIND)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_an_ordered_end_leaves_nothing_behind(lab, sig):
    left, right = lab.site_to_site()
    gateway = left.gateway
    directory = gateway.folder / "sockets"
    gateway.stop()
    assert traces(gateway) == NOTHING
    gateway.config["sockets"]["directory"] = str(directory)
    gateway.write_config()
    with open(gateway.log, "ab") as log:
        gateway.process = gateway.namespace.popen(
            build_folder() / "dataplane" / "penstockd", "--config", gateway.file, stdout=log, stderr=log)
    wait_for((directory / "control.sock").exists, "the socket", 20)
    wait_for(lambda: "is ready" in gateway.log.read_text().rsplit("stopping", 1)[-1], "the daemon", 20)
    assert traces(gateway)["devices"] == {"lan0", "wan0", "tun1"} and traces(gateway)["tables"]
    # It ends soon though both directions carry packets.
    with Ping(right.host, "10.1.0.1"):
        begin = time.monotonic()
        assert gateway.stop(sig) == 0
        assert time.monotonic() - begin < 5
    assert traces(gateway) == NOTHING
    assert not directory.exists()


@pytest.mark.drops(*LEFT_BEHIND)
def test_after_a_kill_it_starts_at_once_and_traffic_resumes(lab):
    left, right = lab.site_to_site()
    lab.pair()
    ping(left.host, right.host_address)
    for _ in range(3):
        left.gateway.stop(signal.SIGKILL)
        begin = time.monotonic()
        left.gateway.start()
        assert time.monotonic() - begin < 10
        assert left.gateway.sas() == {}
        # The other side has the old SAs still; new ones take over.
        lab.pair()
        ping(left.host, right.host_address)
        ping(left.host, right.host_address6)
        ping(right.host, left.host_address)


def initialization_vectors(capture, spi):
    """The explicit IVs of AES-GCM of one SPI, in order (RFC 4106 3.1)."""
    return [frame[42:50] for frame in map(bytes, capture.packets()) if frame[34:38] == spi.to_bytes(4, "big")]


@pytest.mark.drops(*LEFT_BEHIND, "replay_late", "replay_duplicate")
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_key_pushed_again_meets_no_iv_twice(lab, sig):
    """RFC 4106 2: a (key, IV) pair is used once, also if whoever pushes keys repeats one after a restart."""
    left, right = lab.site_to_site()
    pair = lab.pair()
    seen = []
    for _ in range(4):
        with Capture(lab.wire, "bridge", "esp") as wire:
            ping(left.host, right.host_address, count=30, every_ms=5, check=False, options=["-W", "0.2"])
        ivs = initialization_vectors(wire, pair.spi_out)
        assert len(ivs) >= 30
        seen += ivs
        left.gateway.restart(sig)
        for direction, spi, key in (("in", pair.spi_in, pair.keys[1]), ("out", pair.spi_out, pair.keys[0])):
            left.gateway.control.add_sa(tunnel="tun1", direction=direction, spi=spi, suite="aes-gcm-16-256", key=key)
    assert len(set(seen)) == len(seen)


def reload_by_signal(gateway):
    """SIGHUP, and waiting for what the log says of it."""
    size = len(gateway.log.read_text())
    gateway.process.send_signal(signal.SIGHUP)
    return wait_for(lambda: [line for line in gateway.log.read_text()[size:].splitlines() if "reload" in line.lower()], "the reload")


def test_reload_changes_tunnels_and_routes_without_a_lost_packet(lab):
    left, right = lab.site_to_site()
    lab.pair()
    with Ping(left.host, right.host_address) as running:
        running.wait_for(20)
        for site, number in ((left, 1), (right, 2)):
            config = site.gateway.config
            config["tunnels"].append({"name": "tun2", "if_id": 2, "local": f"192.0.2.{number}", "remote": f"192.0.2.{3 - number}"})
            config["routes"].append({"prefix": f"10.{20 + 3 - number}.0.0/24", "via": [{"tunnel": "tun2"}]})
            config["routes"].append({"prefix": f"10.{20 + number}.0.0/24", "via": [{"address": site.host_address}]})
            config["protected"].append(f"10.{20 + 3 - number}.0.0/24")
            site.gateway.write_config()
            site.host.address("lo", f"10.{20 + number}.0.1/32")
            reload_by_signal(site.gateway)
            assert {row.name for row in site.gateway.control.show("tunnels")} == {"tun1", "tun2"}
        SaPair(left.gateway, right.gateway, "tun2", 0x8001)
        ping(left.host, "10.22.0.1", options=["-I", "10.21.0.1"])
        running.wait_for(20)
        for site in (left, right):
            config = site.gateway.config
            config["tunnels"].pop()
            config["routes"] = config["routes"][:2]
            config["protected"].pop()
            site.gateway.write_config()
            changes = site.gateway.ctl("reload")
            assert "tun2" in changes
            assert {row.name for row in site.gateway.control.show("tunnels")} == {"tun1"}
            assert not any(row.prefix.startswith("10.2") and row.prefix[4] != "." for row in site.gateway.control.show("routes"))
            assert traces(site.gateway)["devices"] == {"lan0", "wan0", "tun1"}
        running.wait_for(20)
    assert running.lost == 0
    assert "nothing" in left.gateway.ctl("reload").lower() or "no change" in left.gateway.ctl("reload").lower()


@pytest.mark.parametrize("wrong, named", [
    ("instance: [", "penstock.yaml:1:"),
    ("instance: left\nports: []\nwhat: 1\n", "what"),
    (None, "penstock.yaml"),
], ids=["no-yaml", "wrong-fields", "no-file"])
def test_reload_of_a_wrong_file_changes_nothing(lab, wrong, named):
    left, right = lab.site_to_site()
    lab.pair()
    gateway = left.gateway
    before = gateway.ctl("--json", "show", "routes")
    with Ping(left.host, right.host_address) as running:
        running.wait_for(10)
        if wrong is None:
            gateway.file.unlink()
        else:
            gateway.file.write_text(wrong)
        said = reload_by_signal(gateway)
        assert any("error" in line for line in said)
        assert named in gateway.log.read_text()
        with pytest.raises(Exception, match="exit 1"):
            gateway.ctl("reload")
        running.wait_for(10)
    assert running.lost == 0
    assert gateway.ctl("--json", "show", "routes") == before
    gateway.write_config()
    gateway.ctl("reload")


def test_reload_says_what_needs_a_restart(lab):
    left, _ = lab.site_to_site()
    left.gateway.config["workers"]["count"] = 2
    left.gateway.write_config()
    answer = left.gateway.control.call("reload", control_pb.Reload())[0].reloaded
    assert any("workers" in line for line in answer.needs_restart)
    assert "restart" in left.gateway.ctl("reload")
    assert left.gateway.control.status().workers == 1


def check(file):
    """penstockd --check: exit status, standard output, standard error."""
    done = subprocess.run([str(build_folder() / "dataplane" / "penstockd"), "--check", "--config", str(file)],
                          capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


GOOD = """instance: left
ports:
  - {name: lan0, device: "af_packet,iface=eth0", addresses: [10.1.0.1/24]}
  - {name: wan0, device: "af_packet,iface=eth1", addresses: [192.0.2.1/24]}
tunnels:
  - {name: tun1, if_id: 1, local: 192.0.2.1, remote: 192.0.2.2}
routes:
  - {prefix: 10.2.0.0/24, via: [{tunnel: tun1}]}
protected: [10.2.0.0/24]
"""


def test_check_accepts_a_good_file_and_starts_nothing(tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    status, out, error = check(file)
    assert (status, error) == (0, "") and str(file) in out
    assert yaml.safe_load(GOOD)["instance"] == "left"
    assert not os.path.exists("/run/penstock/left")


@pytest.mark.parametrize("old, new, line, column, named", [
    ("remote: 192.0.2.2", "remote: 192.0.2", 6, 46, ["tunnels[0].remote", "192.0.2"]),
    ("if_id: 1", "if_id: one", 6, 18, ["tunnels[0].if_id", "one"]),
    ("tunnel: tun1", "tunnel: tun9", 8, None, ["tun9"]),
    ("10.2.0.0/24, via", "10.2.0.0/33, via", 8, 6, ["routes[0].prefix", "10.2.0.0/33"]),
    ("protected:", "guarded:", 9, 1, ["guarded"]),
    ("[10.1.0.1/24]", "[10.1.0.1]", 3, None, ["10.1.0.1"]),
    ("name: wan0", "name: lan0", 4, None, ["lan0"]),
    ("instance: left", "instance: [left", None, None, []),
], ids=["address", "number", "reference", "prefix", "unknown-field", "length", "double", "syntax"])
def test_check_says_where_and_what(tmp_path, old, new, line, column, named):
    file = tmp_path / "bad.yaml"
    assert GOOD.count(old) == 1
    file.write_text(GOOD.replace(old, new))
    status, out, error = check(file)
    assert status == 1 and out == ""
    where = f"bad.yaml:{line}:" if line else "bad.yaml:"
    where += f"{column}:" if column else ""
    assert where in error, error
    assert all(word in error for word in named), error


def test_check_prints_every_problem(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace("remote: 192.0.2.2", "remote: x").replace("10.2.0.0/24, via", "y, via").replace("protected:", "guarded:"))
    status, _, error = check(file)
    assert status == 1 and len([line for line in error.splitlines() if "bad.yaml:" in line]) == 3
    assert check(tmp_path / "none.yaml")[0] == 1
