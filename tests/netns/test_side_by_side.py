"""Two daemons in one namespace, and the other ways to run workers and cryptography."""

import pytest

from lab import SaPair
from shell import wait_for
from traffic import Ping, iperf, ping


def second_configuration(number):
    """A configuration for a second daemon beside the site's own one."""
    peer = 3 - number
    return {
        "instance": f"second{number}",
        "ports": [
            {"name": "lan1", "device": "af_packet,iface=eth2", "addresses": [f"10.{number + 2}.0.1/24"]},
            {"name": "wan1", "device": "af_packet,iface=eth3", "addresses": [f"198.51.100.{number}/24"]},
        ],
        "tunnels": [{"name": "tunb", "if_id": 1, "local": f"198.51.100.{number}", "remote": f"198.51.100.{peer}"}],
        "routes": [{"prefix": f"10.{peer + 2}.0.0/24", "via": [{"tunnel": "tunb"}]}],
        "protected": [f"10.{peer + 2}.0.0/24"],
    }


# A packet socket hears all devices until it is bound: frames that come while a second daemon starts are not for it.
@pytest.mark.drops("not_for_us")
def test_two_instances_share_a_namespace(lab):
    left, right = lab.site_to_site()
    lab.link(left.gateway.namespace, "eth3", right.gateway.namespace, "eth3")
    hosts, seconds = [], []
    for site, number in ((left, 1), (right, 2)):
        host = lab.namespace(f"second-host{number}")
        lab.link(site.gateway.namespace, "eth2", host, "eth0")
        host.address("eth0", f"10.{number + 2}.0.10/24")
        host.route("default", f"10.{number + 2}.0.1")
        hosts.append(host)
        seconds.append(lab.gateway(site.gateway.namespace, second_configuration(number)))
    lab.mark()
    lab.pair()
    # The same if_id and SPIs as the first pair of daemons: they know nothing of each other.
    SaPair(*seconds, "tunb", 0x1001)
    for host, address in ((left.host, right.host_address), (hosts[0], "10.4.0.10")):
        wait_for(lambda host=host, address=address: ping(host, address, count=1, check=False), f"the way to {address}")
    with Ping(left.host, right.host_address) as first, Ping(hosts[0], "10.4.0.10") as second:
        first.wait_for(50)
        second.wait_for(50)
    assert (first.lost, second.lost) == (0, 0)
    iperf(hosts[0], hosts[1], "10.4.0.10", seconds=1)
    names = {line.split(":")[1].strip().split("@")[0] for line in left.gateway.namespace.run("ip", "-o", "link").splitlines()}
    assert {"lan0", "wan0", "tun1", "lan1", "wan1", "tunb"} <= names
    assert left.gateway.control.status().instance == left.gateway.name and seconds[0].control.status().instance == "second1"
    assert [row.name for row in seconds[0].control.show("ports")] == ["lan1", "wan1"]
    # The end of one is none of the other's business.
    with Ping(left.host, right.host_address) as first:
        first.wait_for(10)
        assert seconds[0].stop() == 0
        first.wait_for(10)
        seconds[0].start()
        first.wait_for(10)
    assert first.lost == 0
    names = left.gateway.namespace.run("nft", "list", "tables")
    assert all(f"penstock_eth{number}" in names for number in range(4))


def exchange(lab, left, right):
    """Pings of both families and a stream through the tunnel."""
    lab.pair()
    for one, other in ((left, right), (right, left)):
        ping(one.host, other.host_address, count=10)
        ping(one.host, other.host_address6, count=10, size=1200)
    assert iperf(left.host, right.host, right.host_address, seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000


@pytest.mark.drops("replay_late")
def test_two_workers_carry_traffic(lab):
    left, right = lab.site_to_site(left_extra={"workers": {"count": 2, "pin": False}})
    exchange(lab, left, right)
    workers = left.gateway.control.show("workers")
    assert [worker.id for worker in workers] == [0, 1]
    assert left.gateway.control.status().workers == 2
    polled = [port for worker in workers for port in worker.ports]
    assert set(polled) == {"lan0", "wan0"}
    wait_for(lambda: sum(worker.received_packets for worker in left.gateway.control.show("workers")) > 40, "packets")


def test_busy_polling_carries_traffic(lab):
    left, right = lab.site_to_site(left_extra={"workers": {"polling": "busy", "pin": False}})
    exchange(lab, left, right)
    assert left.gateway.control.status().polling == "busy"
    worker, = left.gateway.control.show("workers")
    assert worker.sleeps == 0 and worker.polls > 1000


def test_the_openssl_engine_speaks_with_the_other(lab):
    left, right = lab.site_to_site(left_extra={"workers": {"engine": "openssl", "pin": False}})
    assert left.gateway.control.status().engine.lower().startswith("openssl")
    assert right.gateway.control.status().engine.lower().startswith("ipsec-mb")
    exchange(lab, left, right)


@pytest.mark.parametrize("suite", ["chacha20-poly1305", "aes-cbc-256-hmac-sha2-256-128", "aes-gmac-256"])
def test_engines_agree_on_suites(lab, suite):
    left, right = lab.site_to_site(left_extra={"workers": {"engine": "openssl", "pin": False}})
    lab.pair(suite=suite)
    ping(left.host, right.host_address, size=1000)
    ping(right.host, left.host_address6, size=1000)
