"""The SA socket, spoken as an IKE daemon does."""

import socket

from client import sa_pb


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
