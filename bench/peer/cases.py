"""What is compared: suites, directions, frames, and the targets of each."""

from dataclasses import dataclass

SPI = 0x00100100  # and the keys below: see bench/site.h
OUTER = ("203.0.113.1", "203.0.113.2")
INNER = "32.0.0.0/24"
UNUSED = "10.99.0.0/24"
FLOWS = 256


def _key(length, first):
    return ":".join(f"{(first + i) & 0xff:02x}" for i in range(length))


@dataclass(frozen=True)
class Suite:
    name: str       # Penstock's
    algorithm: str  # ipsec-secgw's, with its keys
    drivers: tuple  # DPDK crypto drivers that have it


MULTI_BUFFER = "crypto_aesni_mb"
GCM = "crypto_aesni_gcm"
SHA1 = f"auth_algo sha1-hmac auth_key {_key(20, 101)}"
SUITES = (
    Suite("aes-gcm-16-128", f"aead_algo aes-128-gcm aead_key {_key(20, 1)}", (GCM, MULTI_BUFFER)),
    Suite("aes-gcm-16-256", f"aead_algo aes-256-gcm aead_key {_key(36, 1)}", (GCM, MULTI_BUFFER)),
    Suite("aes-cbc-128-hmac-sha1-96", f"cipher_algo aes-128-cbc cipher_key {_key(16, 1)} {SHA1}",
          (MULTI_BUFFER,)),
    Suite("aes-cbc-256-hmac-sha1-96", f"cipher_algo aes-256-cbc cipher_key {_key(32, 1)} {SHA1}",
          (MULTI_BUFFER,)),
)
FRAMES = (64, 512, 1400)
DIRECTIONS = ("esp-encap", "esp-decap")


@dataclass(frozen=True)
class Case:
    suite: Suite
    direction: str
    frame: int

    @property
    def target(self):
        """How many times ipsec-secgw's throughput is wanted."""
        if self.suite.name == "aes-gcm-16-128":
            return {64: 2.0, 1400: 1.4}.get(self.frame, 1.0)
        return 1.4 if self.suite.name == "aes-cbc-256-hmac-sha1-96" else 1.0

    def __str__(self):
        return f"{self.direction} {self.suite.name} {self.frame}"


def _protect(side, spi, inner, case, outer):
    return (
        f"sp ipv4 {side} esp protect {spi} pri 1 dst {inner} sport 0:65535 dport 0:65535\n"
        f"sa {side} {spi} {case.suite.algorithm} mode ipv4-tunnel src {outer[0]} dst {outer[1]}\n")


def secgw_config(case):
    """The sample's configuration for a case: port 0 in, port 1 out."""
    if case.direction == "esp-decap":
        return _protect("in", SPI, INNER, case, OUTER) + f"rt ipv4 dst {INNER} port 1\n"
    # The sample wants an SA for each direction that has a port.
    return (_protect("out", SPI, INNER, case, OUTER)
            + _protect("in", SPI + 1, UNUSED, case, OUTER[::-1])
            + f"rt ipv4 dst {OUTER[1]}/32 port 1\n")
