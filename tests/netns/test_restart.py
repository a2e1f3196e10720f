"""The daemon ends, dies, comes back and reloads."""

import signal

import pytest

from lab import build_folder
from shell import run, wait_for
from traffic import Capture, Ping, ping


def left_behind(gateway):
    """Devices, tables and sockets in the gateway's namespace that are not the veth ends."""
    space = gateway.namespace
    devices = {line.split(":")[1].strip().split("@")[0] for line in space.run("ip", "-o", "link").splitlines()}
    sockets = sorted(path.name for path in gateway.folder.glob("*.sock")) if gateway.folder.exists() else []
    return devices - {"lo", "eth0", "eth1"}, space.run("nft", "list", "ruleset").strip(), sockets


def test_a_clean_end_leaves_nothing(lab):
    left, right = lab.site_to_site()
    lab.pair()
    ping(left.host, right.host_address)
    before = set(run("ip", "netns", "list").split())
    assert left.gateway.stop() == 0
    assert left_behind(left.gateway) == (set(), "", [])
    assert set(run("ip", "netns", "list").split()) == before


@pytest.mark.drops("no_sa", "no_outbound_sa")
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_it_starts_again_at_once_and_no_iv_comes_twice(lab, sig):
    """With SAs of old keys nothing can be continued: the new ones start with sequence numbers of their own."""
    left, right = lab.site_to_site()
    with Capture(lab.wire, "bridge", "esp") as wire:
        lab.pair()
        ping(left.host, right.host_address, count=10)
        left.gateway.stop(sig)
        left.gateway.start()
        assert left.gateway.sas() == {}
        assert ping(left.host, right.host_address, count=3, check=False) == 0
        lab.pair()
        ping(left.host, right.host_address, count=10)
    seen = [bytes(packet)[34:50] for packet in wire.packets()]
    assert len(seen) == len(set(seen)) >= 40


def test_reload_adds_a_route_without_stopping_traffic(lab):
    left, right = lab.site_to_site()
    lab.pair()
    with Ping(left.host, right.host_address, every_ms=5) as beat:
        beat.wait_for(replies=10)
        config = left.gateway.config
        config["tunnels"].append({"name": "tun9", "if_id": 9, "local": "192.0.2.1", "remote": "192.0.2.9"})
        config["routes"].append({"prefix": "10.9.0.0/16", "via": [{"tunnel": "tun9"}]})
        left.gateway.write_config()
        left.gateway.process.send_signal(signal.SIGHUP)
        wait_for(lambda: left.gateway.control.lookup("10.9.1.1").tunnel == "tun9", "the new route")
        beat.wait_for(replies=10)
        config["tunnels"].pop()
        config["routes"].pop()
        left.gateway.write_config()
        left.gateway.ctl("reload")
        assert left.gateway.control.lookup("10.9.1.1").prefix == ""
        beat.wait_for(replies=10)
    assert beat.lost == 0


def test_check_finds_mistakes_and_starts_nothing(lab):
    left, _ = lab.site_to_site(start=False)
    gateway = left.gateway
    gateway.write_config()
    daemon = build_folder() / "dataplane" / "penstockd"
    gateway.namespace.run(daemon, "--check", "--config", gateway.file)
    gateway.file.write_text(gateway.file.read_text().replace("if_id: 1", "if_id: 0\n  colour: blue"))
    problem = gateway.namespace.popen(daemon, "--check", "--config", gateway.file, stderr=-1, stdout=-1, text=True)
    out = "".join(problem.communicate(timeout=20))
    assert problem.returncode != 0
    assert "penstock.yaml:" in out and "if_id" in out and "colour" in out
