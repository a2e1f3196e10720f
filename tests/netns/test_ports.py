"""Every kind of port, packet memory and worker arrangement, with real traffic through ESP."""

import os
import random
import socket
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from lab import build_folder
from shell import wait_for
from traffic import ping


def wan_addresses(number):
    """The outside addresses of site 1 or 2, as `site_to_site` gives them."""
    return [f"192.0.2.{number}/24", f"2001:db8:ff::{number}/64"]


def ports_of(number, lan, wan, **options):
    """Both ports of a site with devices of choice."""
    return [
        {"name": "lan0", "device": lan, "addresses": [f"10.{number}.0.1/24", f"2001:db8:{number}::1/64"], **options},
        {"name": "wan0", "device": wan, "addresses": wan_addresses(number), **options},
    ]


def exchange(left, right, sizes=(1, 64, 700, 1300), rounds=3, source_port=0):
    """UDP datagrams of random bytes there and back between two sites' hosts, each compared byte by byte."""
    rng = random.Random(7)
    here = left.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    there = right.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with here, there:
        here.bind((left.host_address, source_port))
        there.bind((right.host_address, 0))
        for _ in range(rounds):
            for size in sizes:
                payload = rng.randbytes(size)
                here.sendto(payload, there.getsockname())
                received, sender = there.recvfrom(65536)
                assert received == payload
                answer = rng.randbytes(size)
                there.sendto(answer, sender)
                assert here.recv(65536) == answer


def check_traffic(left, right):
    """Pings of both families in both directions, then datagrams with checked payload."""
    for one, other in ((left, right), (right, left)):
        ping(one.host, other.host_address)
        ping(one.host, other.host_address6)
    exchange(left, right)
    assert left.gateway.tunnel("tun1").out_packets > 0


def port(gateway, name):
    """One row of show ports."""
    return next(row for row in gateway.control.show("ports") if row.name == name)


def bridge(space):
    """Joins the tap devices t0 and t1 with eth0 and eth1."""
    for number in (0, 1):
        space.run("ip", "link", "add", f"br{number}", "type", "bridge", "mcast_snooping", "0")
        # Linux answers for the mirror devices' addresses on every device that lets it.
        space.run("sysctl", "-qw", f"net.ipv4.conf.br{number}.arp_ignore=8")
        for device in (f"eth{number}", f"t{number}"):
            space.run("ip", "link", "set", device, "master", f"br{number}", "up")
        space.run("ip", "link", "set", f"br{number}", "up")


DEVICES = {"af_packet": "af_packet,iface={}", "af_xdp": "af_xdp,iface={}"}


@pytest.mark.parametrize("kind", DEVICES)
def test_interfaces_of_linux_carry_esp(lab, kind):
    device = DEVICES[kind]
    left, right = lab.site_to_site(left_extra={"ports": ports_of(1, device.format("eth0"), device.format("eth1"))})
    assert port(left.gateway, "wan0").driver == "net_" + kind
    lab.pair()
    check_traffic(left, right)


def test_tap_carries_esp_over_a_bridge_of_linux(lab):
    left, right = lab.site_to_site(left_extra={"ports": ports_of(1, "tap,iface=t0", "tap,iface=t1")})
    space = left.gateway.namespace
    bridge(space)
    lab.pair()
    check_traffic(left, right)
    lab.clean()
    assert left.gateway.stop() == 0
    assert "t0:" not in space.run("ip", "-o", "link")


@pytest.mark.drops("port_down")
def test_memif_joins_two_daemons_without_a_wire(lab):
    path = os.path.join(lab.folder, "wire.sock")
    wan = "memif,role={},socket=" + path + ",socket-abstract=no"
    left, right = lab.site_to_site(
        left_extra={"ports": ports_of(1, "af_packet,iface=eth0", wan.format("server"))},
        right_extra={"ports": ports_of(2, "af_packet,iface=eth0", wan.format("client"))},
    )
    for site in (left, right):
        wait_for(lambda gateway=site.gateway: port(gateway, "wan0").link_up, "the memif link")
    lab.pair()
    check_traffic(left, right)
    assert port(left.gateway, "wan0").received_packets > 10


def frame(payload, destination="10.2.0.10", source_port=4000, destination_port=4000):
    """A UDP datagram of the left host as a frame."""
    return (Ether(src="02:00:00:00:00:10", dst="02:00:00:00:00:01") / IP(src="10.1.0.10", dst=destination)
            / UDP(sport=source_port, dport=destination_port) / payload)


def test_pcap_reads_frames_and_writes_the_results(lab):
    files = {name: os.path.join(lab.folder, name + ".pcap") for name in ("in", "lan", "wan")}
    payloads = [bytes([number]) * (20 + number) for number in range(5)]
    wrpcap(files["in"], [frame(payload, "192.0.2.2") for payload in payloads])
    space = lab.namespace("left")
    gateway = lab.gateway(space, {"instance": "left", "ports": ports_of(
        1, f"pcap,rx_pcap={files['in']},tx_pcap={files['lan']}", f"pcap,tx_pcap={files['wan']}")})
    lab.mark()
    wait_for(lambda: port(gateway, "lan0").received_packets == len(payloads), "all frames of the file")
    space.run("ip", "neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "wan0", "nud", "permanent")
    wait_for(lambda: port(gateway, "wan0").sent_packets >= len(payloads), "the frames to leave")
    gateway.settle()
    assert gateway.stop() == 0
    sent = [packet for packet in rdpcap(files["wan"]) if UDP in packet and packet[UDP].dport == 4000]
    assert [bytes(packet[UDP].payload) for packet in sent] == payloads
    assert all(packet[Ether].dst == "02:00:00:00:00:02" and packet[IP].ttl == 63 for packet in sent)


# It floods from the first moment: before the SAs are there, and while neighbours resolve.
@pytest.mark.drops("transmit_full", "port_down", "replay_late", "no_sa", "no_outbound_sa", "no_route", "hold_queue_full",
                   "neighbor_unresolved")
def test_pcap_feeds_the_tunnel_and_takes_what_comes_back(lab):
    files = {name: os.path.join(lab.folder, name + ".pcap") for name in ("in", "lan")}
    wrpcap(files["in"], [frame(b"from a file")])
    device = f"pcap,rx_pcap={files['in']},tx_pcap={files['lan']},infinite_rx=1"
    left, right = lab.site_to_site(
        start=False, left_extra={"ports": ports_of(1, device, "af_packet,iface=eth1", descriptors=256)})
    there = right.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there:
        there.bind((right.host_address, 4000))
        right.gateway.start()
        left.gateway.start()
        left.gateway.namespace.run(
            "ip", "neigh", "replace", "10.1.0.10", "lladdr", "02:00:00:00:00:10", "dev", "lan0", "nud", "permanent")
        lab.mark()
        lab.pair()
        data, sender = there.recvfrom(2048)
        assert (data, sender) == (b"from a file", ("10.1.0.10", 4000))
        for number in range(20):
            there.sendto(b"into a file %d" % number, sender)
        wait_for(lambda: port(left.gateway, "lan0").sent_packets >= 10, "answers on the pcap port")
    lab.clean()
    assert left.gateway.stop() == 0
    written = [bytes(packet[UDP].payload) for packet in rdpcap(files["lan"]) if UDP in packet]
    assert b"into a file 19" in written


def test_null_swallows_what_is_sent(lab):
    left, _ = lab.site_to_site(
        start=False, left_extra={"ports": ports_of(1, "af_packet,iface=eth0", "null,no-rx=1")})
    left.gateway.start()
    lab.mark()
    left.gateway.namespace.run(
        "ip", "neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "wan0", "nud", "permanent")
    left.gateway.control.add_sa(
        tunnel="tun1", direction="out", spi=0x1001, suite="aes-gcm-16-256", key=bytes(range(36)))
    before = port(left.gateway, "wan0").sent_packets
    assert ping(left.host, "10.2.0.10", count=10, check=False) == 0
    wait_for(lambda: port(left.gateway, "wan0").sent_packets >= before + 10, "ESP packets on the null port")
    assert left.gateway.tunnel("tun1").out_packets == 10


@pytest.mark.parametrize("device", ["ring", "null"])
def test_looping_ports_start_count_and_stop(lab, device):
    gateway = lab.gateway(lab.namespace("left"), {"instance": "left", "ports": ports_of(1, device, "null,no-rx=1")})
    if device == "ring":
        gateway.namespace.popen("ping", "-c", "3", "-i", "0.02", "-W", "1", "10.1.0.9", stdout=subprocess.DEVNULL).wait()
    wait_for(lambda: port(gateway, "lan0").received_packets > 2, "frames on " + device)
    if device == "ring":
        gateway.settle()
    assert gateway.stop() == 0


@pytest.mark.parametrize("kind", [*DEVICES, "tap"])
def test_two_workers_with_two_queues_share_the_traffic(lab, kind):
    names = ("t0", "t1") if kind == "tap" else ("eth0", "eth1")
    device = "tap,iface={}" if kind == "tap" else DEVICES[kind]
    left, right = lab.site_to_site(start=False, left_extra={
        "workers": {"count": 2, "pin": False},
        "ports": ports_of(1, device.format(names[0]), device.format(names[1]), queues=0 if kind == "af_xdp" else 2),
    })
    space = left.gateway.namespace
    right.gateway.start()
    left.gateway.start()
    if kind == "tap":
        bridge(space)
    lab.mark()
    lab.pair()
    # A veth device has no combined queues, so AF_XDP has one there: the other worker sends by it.
    assert port(left.gateway, "wan0").queues == (1 if kind == "af_xdp" else 2)
    check_traffic(left, right)
    for source_port in range(5000, 5032):
        exchange(left, right, sizes=(200,), rounds=1, source_port=source_port)
    if kind == "af_packet":
        workers = left.gateway.control.show("workers")
        assert all(worker.received_packets > 10 for worker in workers), workers


@pytest.mark.parametrize("kind", ["af_packet"])
def test_jumbo_frames_arrive_whole_in_chained_and_large_buffers(lab, kind):
    left, right = lab.site_to_site(mtu=9000, left_extra={
        "ports": ports_of(1, DEVICES[kind].format("eth0"), DEVICES[kind].format("eth1"), mtu=9000)})
    lab.pair()
    exchange(left, right, sizes=(8000, 8900), rounds=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_fragments_stay_in_pieces_on_af_packet(lab, workers):
    left, right = lab.site_to_site(left_extra={"workers": {"count": workers, "pin": False}})
    lab.pair()
    for site in (left, right):
        site.host.run("ip", "link", "set", "eth0", "mtu", "1280")
    exchange(left, right, sizes=(3000, 6000), rounds=3)


def test_two_daemons_share_a_namespace(lab):
    left, right = lab.site_to_site()
    space = left.gateway.namespace
    hosts = [lab.namespace("third"), lab.namespace("fourth")]
    for number, host in enumerate(hosts):
        lab.link(space, f"eth{number + 2}", host, "eth0")
        host.address("eth0", f"10.{number + 3}.0.10/24")
        host.route("default", f"10.{number + 3}.0.1")
    second = lab.gateway(space, {"instance": "second", "ports": [
        {"name": f"side{number}", "device": f"af_packet,iface=eth{number + 2}", "addresses": [f"10.{number + 3}.0.1/24"]}
        for number in range(2)
    ]})
    lab.mark()
    lab.pair()
    ping(hosts[0], "10.4.0.10")
    check_traffic(left, right)
    assert second.stop() == 0
    check_traffic(left, right)


def refusal(lab, config, name="refused"):
    """Starts a daemon that must not start; returns what it says."""
    space = lab.namespaces[0]
    gateway = lab.gateway(space, {"instance": name, **config}, start=False)
    gateway.write_config()
    links = space.run("ip", "-o", "-br", "link")
    tables = space.run("nft", "list", "ruleset")
    done = subprocess.run(
        ["ip", "netns", "exec", space.name, build_folder() / "dataplane" / "penstockd", "--config", gateway.file],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )
    assert done.returncode == 1, done.stdout
    assert space.run("ip", "-o", "-br", "link") == links
    assert space.run("nft", "list", "ruleset") == tables
    return done.stdout.splitlines()[-1]


def one_port(device, **options):
    """A configuration with one port."""
    return {"ports": [{"name": "lan0", "device": device, **options}]}


def test_ports_that_cannot_be_say_why_and_leave_nothing(lab):
    space, other = lab.namespace("left"), lab.namespace("other")
    lab.link(space, "eth0", other, "eth0")
    lab.link(space, "eth1", other, "eth1")
    said = refusal(lab, one_port("af_packet,iface=eth9"), "a")
    assert "port lan0" in said and "eth9" in said and "does not exist" in said and "ip link" in said
    said = refusal(lab, {"ports": [{"name": "good", "device": "af_packet,iface=eth0"},
                                   {"name": "bad", "device": "af_packet,iface=eth9"}]}, "b")
    assert "port bad" in said
    said = refusal(lab, one_port("0000:fe:1f.7"), "c")
    assert "lan0" in said and "0000:fe:1f.7" in said and "vfio-pci" in said
    said = refusal(lab, {"workers": {"memory": 16}, **one_port("af_packet,iface=eth0")}, "d")
    assert "workers.memory" in said
    said = refusal(lab, {"workers": {"memory": 900000, "hugepages": "no"}, **one_port("null,no-rx=1")}, "e")
    assert "900000 MiB" in said and "workers.memory" in said
    said = refusal(lab, {"workers": {"hugepages": "yes", "memory": 900000}, **one_port("null,no-rx=1")}, "f")
    assert "hugepages" in said and "vm.nr_hugepages" in said and "workers.hugepages" in said
    said = refusal(lab, {"workers": {"cpus": [77]}, **one_port("null,no-rx=1")}, "g")
    assert "CPU 77" in said
    lab.gateway(space, {"instance": "first", **one_port("af_packet,iface=eth1")})
    said = refusal(lab, {"ports": [{"name": "lan1", "device": "af_packet,iface=eth1"}]}, "h")
    assert "port lan1" in said and "eth1" in said and "another penstockd" in said


def test_an_mtu_out_of_range_is_named(lab):
    lab.namespace("left")
    said = refusal(lab, one_port("tap,iface=t0", mtu=65000))
    assert "ports[0].mtu" in said and "65000" in said and "9600" in said


def test_hugepages_are_used_where_enough_are_free(lab):
    setting = "/proc/sys/vm/nr_hugepages"
    with open(setting, encoding="ascii") as file:
        before = file.read()
    try:
        with open(setting, "w", encoding="ascii") as file:
            file.write(str(int(before) + 160))
        left, right = lab.site_to_site(
            left_extra={"workers": {"memory": 256, "hugepages": "auto"}}, right_extra={"workers": {"hugepages": "no"}})
        assert left.gateway.control.status().hugepages
        assert not right.gateway.control.status().hugepages
        lab.pair()
        check_traffic(left, right)
        lab.clean()
        assert left.gateway.stop() == 0
    finally:
        with open(setting, "w", encoding="ascii") as file:
            file.write(before)


def test_busy_pinned_workers_with_openssl_carry_esp(lab):
    last = max(os.sched_getaffinity(0))
    left, right = lab.site_to_site(left_extra={
        "workers": {"polling": "busy", "cpus": [last], "pin": True, "engine": "openssl"}})
    status = left.gateway.control.status()
    assert status.polling == "busy" and "openssl" in status.engine.lower()
    (worker,) = left.gateway.control.show("workers")
    assert worker.cpu == last and worker.sleeps == 0
    lab.pair()
    check_traffic(left, right)


@pytest.mark.drops("port_down")
def test_a_link_that_goes_down_and_up_again_recovers(lab):
    left, right = lab.site_to_site()
    lab.pair()
    check_traffic(left, right)
    lab.wire.run("ip", "link", "set", "left", "down")
    wait_for(lambda: not port(left.gateway, "wan0").link_up, "the port to be down")
    assert ping(left.host, right.host_address, check=False) == 0
    assert "down" in left.gateway.tunnel("tun1").state
    lab.wire.run("ip", "link", "set", "left", "up")
    wait_for(lambda: port(left.gateway, "wan0").link_up, "the port to be up")
    wait_for(lambda: ping(left.host, right.host_address, check=False) == 3, "traffic again")
    check_traffic(left, right)
    assert left.gateway.tunnel("tun1").state == "up"


@pytest.mark.drops("port_down", "host_malformed", "unreachable", "no_route", "neighbor_unresolved", "transmit_full")
def test_an_interface_that_vanishes_takes_only_its_port(lab):
    left, right = lab.site_to_site(start=False)
    spare, host = left.gateway.namespace, lab.namespace("spare")
    lab.link(spare, "eth2", host, "eth0")
    left.gateway.config["ports"].append({"name": "spare", "device": "af_packet,iface=eth2", "addresses": ["10.9.0.1/24"]})
    left.gateway.start()
    right.gateway.start()
    lab.mark()
    lab.pair()
    spare.run("ip", "link", "del", "eth2")
    wait_for(lambda: not port(left.gateway, "spare").link_up, "the port to be down")
    ping(left.host, "10.9.0.7", check=False)
    check_traffic(left, right)
    assert left.gateway.log.read_text().count("interface eth2 is gone") == 1
    lab.clean()
    assert left.gateway.stop() == 0
    assert "penstock_" not in spare.run("nft", "list", "ruleset")
