"""What penstockctl shows, as tables and as JSON: both tell the same."""

import json
import re
import socket

import pytest

from lab import Lab
from shell import wait_for
from traffic import ping


@pytest.fixture(scope="module")
def two_tunnels():
    """Two sites with two tunnels each, so that there is a group; with SAs, a policy, traffic and a drop."""
    made = Lab()
    try:
        left, right = made.site_to_site(tunnels=2)
        for tunnel in ("tun1", "tun2"):
            made.pair(tunnel)
        policy = left.gateway.sa
        selector = {"address": socket.inet_aton("10.77.0.0"), "prefix_length": 16}
        policy.call("add_policy", id={"direction": "DIRECTION_OUT", "source": selector, "destination": selector},
                    source=socket.inet_aton("192.0.2.1"), destination=socket.inet_aton("192.0.2.2"), reqid=77)
        ping(left.host, right.host_address)
        ping(left.host, right.host_address6)
        ping(left.host, "172.31.1.1", count=1, check=False, options=["-W", "0.2"])
        left.gateway.settle()
        yield made
    finally:
        made.close()


def spi(number):
    """An SPI as tables print it."""
    return f"0x{number:08x}" if number else "-"


def hop(row):
    """A next hop as tables print it, without its weight."""
    words = [row["address"], "tunnel " + row["tunnel"] if row["tunnel"] else "", "port " + row["port"] if row["port"] else ""]
    return " ".join(word for word in words if word)


# What each table must show of each row of the JSON, from left to right.
TABLES = {
    "ports": lambda r: [r["name"], "up" if r["link_up"] else "down", r["link"], r["received_packets"], r["received_bytes"],
                        r["sent_packets"], r["sent_bytes"], r["missed_packets"], r["to_host_packets"], r["from_host_packets"],
                        str(r["mtu"]), str(r["queues"]), r["device"], r["mac"], ", ".join(r["addresses"])],
    "workers": lambda r: [str(r["id"]), "any", r["received_packets"], r["sent_packets"], r["dropped_packets"],
                          r["to_host_packets"], r["from_host_packets"], ", ".join(r["ports"])],
    "tunnels": lambda r: [r["name"], r["state"], f"{r['local']} -> {r['remote']}".strip(), r["in_packets"], r["in_bytes"],
                          r["out_packets"], r["out_bytes"], spi(r["current_outbound_spi"]),
                          f"{r['inbound_sas']}/{r['outbound_sas']}", str(r["if_id"] or "-"), str(r["mtu"] or "-"), r["source"],
                          r["outer_next_hop"]],
    "sas": lambda r: [r["tunnel"], r["direction"], spi(r["spi"]), r["suite"], r["state"], r["packets"], r["bytes"],
                      f"{r['source']} -> {r['destination']}", r["sequence"]],
    "policies": lambda r: [r["direction"], r["action"], str(r["priority"]),
                           f"{r['selector']['source']} -> {r['selector']['destination']}", str(r["reqid"]),
                           f"{r['local']} -> {r['remote']}"],
    "routes": lambda r: [r["prefix"], *(["*"] if r["active"] else []), r["action"], *[hop(h) for h in r["next_hops"]],
                         r["source"], str(r["preference"]), str(r["group"] or "-"), r["note"]],
    "groups": lambda r: [str(r["index"]), str(r["buckets"]), str(r["references"])],
    "neighbors": lambda r: [r["address"], r["port"], r["mac"]],
    "drops": lambda r: [r["reason"], r["packets"], r["last"]["source"], r["last"]["destination"], r["help"]],
    "stages": lambda r: [r["name"]] if r["name"] == "receive" else [r["name"], r["packets"], r["bursts"]],
}

# Where the command is called otherwise than what it lists.
COMMANDS = {"groups": "nexthop-groups"}


def rows_of(text, what):
    """The rows of a table: the lines between its header and an empty or closing line."""
    lines = [line for line in text.splitlines()[1:] if line.strip()]
    if what == "routes":
        assert lines.pop() == "* in force"
    if what == "stages":
        assert lines.pop().startswith("cycles are not counted")
    return lines


def in_order(words, line):
    """True when all of these stand in the line one after the other."""
    position = 0
    for word in words:
        position = line.find(word, position)
        if position < 0:
            return False
        position += len(word)
    return True


def show_both(gateway, what):
    """A table and the JSON of the same moment: nothing of what the table shows has changed meanwhile."""
    def shown(message):
        return [TABLES[what](row) for row in message[what]]

    def stable():
        command = COMMANDS.get(what, what)
        before = json.loads(gateway.ctl("--json", "show", command))
        text = gateway.ctl("--exact", "show", command)
        after = json.loads(gateway.ctl("--json", "show", command))
        return (text, after) if shown(before) == shown(after) else None

    return wait_for(stable, f"show {what} to hold still", 20)


@pytest.mark.parametrize("what", TABLES)
def test_table_shows_what_json_has(two_tunnels, what):
    gateway = two_tunnels.sites[0].gateway
    text, message = show_both(gateway, what)
    assert message[what], f"nothing to show of {what}"
    lines = rows_of(text, what)
    if what == "groups":  # a line for each member follows
        assert sum(len(row["members"]) for row in message[what]) >= 2
        for row in message[what]:
            for member in row["members"]:
                assert any(in_order([hop(member["next_hop"]), str(member["buckets"])], line) for line in lines), text
            assert any(in_order(TABLES[what](row), line) for line in lines), text
        return
    assert len(lines) == len(message[what]), text
    for row, line in zip(message[what], lines):
        assert in_order(TABLES[what](row), line), (TABLES[what](row), line)


def test_status_tells_the_same_in_both_forms(two_tunnels):
    gateway = two_tunnels.sites[0].gateway
    message = json.loads(gateway.ctl("--json", "show", "status"))
    text = dict(line.split("  ", 1) for line in gateway.ctl("--exact", "show", "status").splitlines())
    shown = {name.strip(): value.strip() for name, value in text.items()}
    assert shown["instance"] == message["instance"] == gateway.name
    assert shown["version"] == message["version"]
    assert shown["crypto"] == message["engine"]
    assert shown["configuration"] == message["config_file"] == str(gateway.file)
    assert shown["ports"] == "2 up of 2" and (message["ports_up"], message["ports"]) == (2, 2)
    # The third is the policy's.
    assert shown["tunnels"] == "2 up of 3" and (message["tunnels_up"], message["tunnels"]) == (2, 3)
    assert shown["SAs"] == "2 in, 2 out" and (message["inbound_sas"], message["outbound_sas"]) == (2, 2)
    assert shown["routes"].startswith(f"{message['routes_ipv4']} IPv4, {message['routes_ipv6']} IPv6")
    assert shown["protected"].split(", ") == message["protected_prefixes"] == ["10.2.0.0/24", "2001:db8:2::/64"]


def test_counters_tell_the_same_in_both_forms(two_tunnels):
    gateway = two_tunnels.sites[0].gateway
    names = ("received", "from_host", "generated", "fragments", "sent", "to_host", "merged", "dropped")

    def same():
        before = json.loads(gateway.ctl("--json", "show", "counters"))
        text = gateway.ctl("--exact", "show", "counters")
        after = json.loads(gateway.ctl("--json", "show", "counters"))
        return (text, after) if all(before[f"{name}_packets"] == after[f"{name}_packets"] for name in names) else None

    text, message = wait_for(same, "counters to hold still")
    for name in names:
        shown = re.search(rf"{name.replace('_', ' ')} +(\d+)", text)
        assert shown and shown[1] == message[f"{name}_packets"], (name, text)
    assert message["difference_packets"] == "0"
    assert "every packet is accounted for" in text


@pytest.mark.parametrize("what", ["status", *TABLES, "counters"])
def test_detail_names_every_field_that_says_something(two_tunnels, what):
    gateway = two_tunnels.sites[0].gateway
    command = COMMANDS.get(what, what)
    message = json.loads(gateway.ctl("--json", "show", command))
    row = message[what][0] if what in TABLES else message
    text = gateway.ctl("show", command, "--detail")
    for field, value in row.items():
        if value in ("", "0", 0, False, -1, []) or isinstance(value, dict) or field == "timestamp_microseconds":
            continue
        words = re.sub("_(unix_seconds|seconds|microseconds|milliseconds)$", "", field).replace("_", " ")
        assert re.search(rf"^ *{words}(  |$)", text, re.MULTILINE), f"{words} is missing in\n{text}"


def test_show_can_be_narrowed(two_tunnels):
    gateway = two_tunnels.sites[0].gateway
    def ask(*words):
        return json.loads(gateway.ctl("--json", "show", *words))

    assert [row["name"] for row in ask("ports", "wan0")["ports"]] == ["wan0"]
    assert [row["name"] for row in ask("tunnels", "tun2")["tunnels"]] == ["tun2"]
    assert {row["tunnel"] for row in ask("sas", "--tunnel", "tun2")["sas"]} == {"tun2"}
    assert {row["spi"] for row in ask("sas", "--spi", "0x1001")["sas"]} == {0x1001}
    assert [row["prefix"] for row in ask("routes", "10.2.0.0/16")["routes"]] == ["10.2.0.0/24"]
    assert len(ask("routes", "--limit", "3")["routes"]) == 3
    assert {row["source"] for row in ask("routes", "--source", "connected")["routes"]} == {"connected"}
    some, every = ask("drops")["drops"], ask("drops", "--all")["drops"]
    assert all(int(row["packets"]) > 0 for row in some) and len(every) > 30 > len(some)


def test_lookup_says_where_a_packet_goes(two_tunnels):
    gateway = two_tunnels.sites[0].gateway
    group = json.loads(gateway.ctl("--json", "lookup", "10.2.0.10"))
    assert group["prefix"] == "10.2.0.0/24" and len(group["group"]["members"]) == 2
    taken = set()
    for port in range(40000, 40032):
        words = ("lookup", "10.2.0.10", "--from", "10.1.0.10", "--protocol", "udp", "--sport", port, "--dport", 53)
        flow = json.loads(gateway.ctl("--json", *words))
        assert flow["tunnel"] in ("tun1", "tun2")
        assert flow["spi"] == gateway.tunnel(flow["tunnel"]).current_outbound_spi
        assert flow["outer_next_hop"]["address"] == "192.0.2.2"
        text = gateway.ctl(*words)
        assert flow["verdict"] in text and flow["tunnel"] in text and spi(flow["spi"]) in text
        taken.add(flow["tunnel"])
    assert taken == {"tun1", "tun2"}
    for address, words in (("172.31.1.1", "no route"), ("10.1.0.10", "lan0"), ("2001:db8:2::10", "encrypted by tunnel")):
        text = gateway.ctl("lookup", address)
        assert address in text and words in text


def test_watch_prints_so_many_tables_of_rates(two_tunnels):
    gateway = two_tunnels.sites[0].gateway
    text = gateway.ctl("watch", "--count", "2", "--interval", "0.1")
    assert text.count("RX PACKETS/S") == 2 and text.count("lan0") >= 2
    assert text.count("OUT PACKETS/S") == 2 and text.count("no_route") == 2
    for what in ("ports", "tunnels", "workers", "drops"):
        lines = gateway.ctl("--json", "watch", what, "--count", "2", "--interval", "0.1").splitlines()
        messages = [json.loads(line) for line in lines]
        assert messages and all(list(message)[0] == what for message in messages)
        assert len({message["timestamp_microseconds"] for message in messages}) == len(messages) >= 2
