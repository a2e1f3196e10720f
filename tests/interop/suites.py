"""The cipher suites as scapy, tshark and the RFCs know them: lengths are stated here anew, not read from Penstock."""

import dataclasses

HMACS = {  # key bytes, ICV bytes, scapy's and tshark's name
    "hmac-sha1-96": (20, 12, "HMAC-SHA1-96", "HMAC-SHA-1-96 [RFC2404]"),
    "hmac-sha2-256-128": (32, 16, "SHA2-256-128", "HMAC-SHA-256-128 [RFC4868]"),
    "hmac-sha2-384-192": (48, 24, "SHA2-384-192", "HMAC-SHA-384-192 [RFC4868]"),
    "hmac-sha2-512-256": (64, 32, "SHA2-512-256", "HMAC-SHA-512-256 [RFC4868]"),
}


@dataclasses.dataclass(frozen=True)
class Suite:
    """One suite. Lengths are bytes; `cipher_key` includes the salt."""

    name: str
    cipher: str
    hmac: str
    cipher_key: int
    integrity_key: int
    iv: int
    icv: int
    align: int
    tshark_cipher: str
    tshark_hmac: str

    @property
    def hides(self):
        """True when the payload cannot be read on the wire."""
        return self.cipher not in ("NULL", "AES-GMAC")

    @property
    def tshark(self):
        """True when tshark 4.0 can decrypt it: it knows neither ChaCha20-Poly1305 nor GMAC in ESP."""
        return bool(self.tshark_cipher)

    def inner_mtu(self, version, udp, outer_mtu=1500):
        """The largest inner packet of an outer one (RFC 4303 2.4)."""
        room = outer_mtu - (20 if version == 4 else 40) - (8 if udp else 0) - 8 - self.iv - self.icv
        return room - room % self.align - 2


def _aead(name, cipher, key, tshark=""):
    return Suite(name, cipher, "NULL", key + 4, 0, 8, 16, 4, tshark, "NULL" if tshark else "")


def _hmac(name, cipher, key, block, hmac, tshark):
    integrity_key, icv, scapy_name, tshark_hmac = HMACS[hmac]
    return Suite(name, cipher, scapy_name, key, integrity_key, block, icv, block or 4, tshark, tshark_hmac)


GCM = "AES-GCM with 16 octet ICV [RFC4106]"
SUITES = [_aead(f"aes-gcm-16-{bits}", "AES-GCM", bits // 8, GCM) for bits in (128, 192, 256)]
SUITES.append(_aead("chacha20-poly1305", "CHACHA20-POLY1305", 32))
SUITES += [
    _hmac(f"aes-cbc-{bits}-{hmac}", "AES-CBC", bits // 8, 16, hmac, "AES-CBC [RFC3602]")
    for bits in (128, 192, 256)
    for hmac in HMACS
]
SUITES += [_aead(f"aes-gmac-{bits}", "AES-GMAC", bits // 8) for bits in (128, 192, 256)]
SUITES += [_hmac(f"null-{hmac}", "NULL", 0, 0, hmac, "NULL") for hmac in HMACS]
BY_NAME = {suite.name: suite for suite in SUITES}
