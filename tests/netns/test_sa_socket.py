"""The SA socket, spoken as an IKE daemon does."""

import random
import socket

import pytest

from client import Refused, SaClient, sa_pb
from traffic import ping


def packed(address):
    """The bytes of an address."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def sa_id(source, destination, spi, if_id=1):
    """The name of an SA on the socket."""
    return sa_pb.SaId(source=packed(source), destination=packed(destination), spi=spi, if_id=if_id)


def add_sa_by_socket(gateway, source, destination, spi, key, inbound, if_id=1, **options):
    """Installs an AES-GCM-256 SA over the SA socket."""
    gateway.sa.call("add_sa", id=sa_id(source, destination, spi, if_id), suite="aes-gcm-16-256", encryption_key=key,
                    inbound=inbound, replay_window=64 if inbound else 0, **options)


@pytest.mark.drops("no_sa", "no_outbound_sa")
def test_life_of_an_sa(network):
    """GetSpi, AddSa of both directions, traffic, QuerySa, DeleteSa: as charon does it."""
    left, right = network.sites
    a, b = left.gateway, right.gateway
    key_there, key_back = bytes(range(36)), bytes(range(100, 136))
    ends = "192.0.2.1", "192.0.2.2"
    spi_a = a.sa.call("get_spi", source=packed(ends[1]), destination=packed(ends[0])).spi.spi
    spi_b = b.sa.call("get_spi", source=packed(ends[0]), destination=packed(ends[1])).spi.spi
    assert spi_a >= 256 and spi_b >= 256
    add_sa_by_socket(a, ends[1], ends[0], spi_a, key_back, inbound=True, update=True)
    add_sa_by_socket(b, ends[0], ends[1], spi_b, key_there, inbound=True, update=True)
    add_sa_by_socket(a, ends[0], ends[1], spi_b, key_there, inbound=False)
    add_sa_by_socket(b, ends[1], ends[0], spi_a, key_back, inbound=False)
    ping(left.host, right.host_address, count=7)
    usage = a.sa.call("query_sa", id=sa_id(*ends, spi_b)).usage
    assert (usage.packets, usage.bytes) == (7, 7 * 84)
    assert usage.last_use_nanoseconds > 0
    for gateway in (a, b):
        gateway.sa.call("delete_sa", id=sa_id(*ends, spi_b))
        gateway.sa.call("delete_sa", id=sa_id(*reversed(ends), spi_a))
        assert gateway.sas() == {}
    with pytest.raises(Refused) as refused:
        a.sa.call("query_sa", id=sa_id(*ends, spi_b))
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("fields, named", [
    ({"suite": "aes-gcm-16-256", "encryption_key": b"short"}, "key has 5 bytes"),
    ({"suite": "rot13", "encryption_key": bytes(36)}, "rot13"),
    ({"suite": "aes-gcm-16-256", "encryption_key": bytes(36), "mode": sa_pb.MODE_TRANSPORT}, "mode"),
    ({"suite": "aes-gcm-16-256", "encryption_key": bytes(36), "ipcomp": 2}, "ipcomp"),
], ids=["key", "suite", "mode", "ipcomp"])
def test_what_cannot_be_honoured_is_refused_by_name(network, fields, named):
    left, _ = network.sites
    with pytest.raises(Refused) as refused:
        left.gateway.sa.call("add_sa", id=sa_id("192.0.2.1", "192.0.2.2", 0x7001), **fields)
    assert named in refused.value.message
    assert left.gateway.sas() == {}


def test_malformed_frames_hurt_nobody_else(network):
    left, _ = network.sites
    path = left.gateway.folder / "sa.sock"
    noise = random.Random(3)
    for length in (0, 1, 7, 100, 5000):
        for greet in (False, True):
            client = SaClient(path, greet)
            try:
                for _ in range(10):
                    client.send_bytes(noise.randbytes(length))
                client.socket.sendall(b"\xff\xff\xff\xff")
            except OSError:
                pass  # sent away, as it should be
            client.close()
    assert left.gateway.sa.call("flush_sas").HasField("done")
    assert left.gateway.running()


def test_flush_takes_only_what_came_by_the_socket(network):
    left, _ = network.sites
    pair = network.pair()
    add_sa_by_socket(left.gateway, "192.0.2.2", "192.0.2.1", 0x7100, bytes(36), inbound=True)
    left.gateway.sa.call("flush_sas")
    assert set(left.gateway.sas()) == {("in", pair.spi_in), ("out", pair.spi_out)}
