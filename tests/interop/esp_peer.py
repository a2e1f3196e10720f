"""The remote end of an SA, made of scapy: it opens what the gateway seals and seals what the gateway opens.

scapy 2.5 leaves two things to us: the high half of extended sequence numbers under HMAC (RFC 4303 2.2.1) and AES-GMAC
(RFC 4543). Both are written here over python3-cryptography, apart from anything of Penstock's.
"""

import secrets
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, aead, algorithms, modes
from scapy.layers import ipsec
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6


class Gmac(ipsec.CryptAlgo):
    """ENCR_NULL_AUTH_AES_GMAC: GCM over no text; header, IV and the readable text are its associated data (RFC 4543 3.3)."""

    def __init__(self):
        super().__init__(
            "AES-GMAC", cipher=aead.AESGCM, mode=None, key_size=(16, 24, 32), salt_size=4, block_size=1, iv_size=8, icv_size=16
        )

    @staticmethod
    def _header(esp, esn_en, esn):
        return struct.pack("!LLL", esp.spi, esn, esp.seq) if esn_en else struct.pack("!LL", esp.spi, esp.seq)

    def encrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        """Seals; the signature is scapy's."""
        text = esp.data_for_encryption()
        tag = aead.AESGCM(key).encrypt(sa.crypt_salt + esp.iv, b"", self._header(esp, esn_en, esn) + esp.iv + text)
        return ipsec.ESP(spi=esp.spi, seq=esp.seq, data=esp.iv + text + tag)

    def decrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        """Opens; the signature is scapy's."""
        iv, text, tag = esp.data[:8], esp.data[8:-16], esp.data[-16:]
        try:
            aead.AESGCM(key).decrypt(sa.crypt_salt + iv, tag, self._header(esp, esn_en, esn) + iv + text)
        except InvalidTag as error:
            raise ipsec.IPSecIntegrityError(error) from error
        end = len(text) - 2 - text[-2]
        return ipsec._ESPPlain(  # pylint: disable=protected-access
            spi=esp.spi, seq=esp.seq, iv=iv, data=text[:end], padding=text[end:-2], padlen=text[-2], nh=text[-1], icv=tag
        )


ipsec.CRYPT_ALGOS["AES-GMAC"] = Gmac()


class HighHalfAuth:
    """An HMAC of scapy's that also covers the high half of the sequence number, which is never on the wire."""

    def __init__(self, algorithm, high):
        self.algorithm = algorithm
        self.icv_size = algorithm.icv_size
        self.high = high

    def _icv(self, data, key):
        mac = self.algorithm.new_mac(key)
        mac.update(data + struct.pack("!L", self.high))
        return mac.finalize()[: self.icv_size]

    def sign(self, esp, key):
        """Appends the ICV."""
        esp.data += self._icv(bytes(esp), key)
        return esp

    def verify(self, esp, key):
        """Raises IPSecIntegrityError if the ICV is wrong."""
        data = bytes(esp)
        if self._icv(data[: -self.icv_size], key) != data[-self.icv_size :]:
            raise ipsec.IPSecIntegrityError("wrong ICV")


def ip_class(address):
    """scapy's IP class for an address."""
    return IPv6 if ":" in address else IP


class EspPeer:
    """One direction of an SA. `sequence` is the last number used, all 64 bits of it."""

    def __init__(self, suite, spi, key, source, destination, esn=False, ports=None, sequence=0):
        self.suite = suite
        self.spi = spi
        self.key = key
        self.source = source
        self.destination = destination
        self.esn = esn
        self.ports = ports
        self.sequence = sequence
        self.association = ipsec.SecurityAssociation(
            ipsec.ESP,
            spi=spi,
            crypt_algo=suite.cipher,
            crypt_key=key[: suite.cipher_key] or None,
            auth_algo=suite.hmac,
            auth_key=key[suite.cipher_key :] or None,
            tunnel_header=self.outer(),
            nat_t_header=UDP(sport=ports[0], dport=ports[1]) if ports else None,
            esn_en=esn,
        )
        self._auth = self.association.auth_algo

    def outer(self, source=None, **fields):
        """The outer header."""
        return ip_class(self.destination)(src=source or self.source, dst=self.destination, **fields)

    def _use(self, sequence):
        high = sequence >> 32
        self.association.esn = high
        if self.esn and self._auth.icv_size:
            self.association.auth_algo = HighHalfAuth(self._auth, high)

    def _next(self, sequence):
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        self._use(sequence)
        self.association.seq_num = sequence & 0xFFFFFFFF  # scapy takes an explicit 0 for none
        return sequence

    def seal(self, inner, sequence=None):
        """An inner packet (bytes) as the outer packet (bytes) that scapy makes of it."""
        sequence = self._next(sequence)
        packet = (IPv6 if inner[0] >> 4 == 6 else IP)(inner)
        outer = self.association.encrypt(packet, seq_num=sequence & 0xFFFFFFFF)
        if self.ports:
            outer[UDP].len = 8 + len(outer[ipsec.ESP])  # over IPv4 scapy writes 8, as if there were no payload
        return bytes(outer)

    def seal_text(self, text, sequence=None):
        """ESP (bytes, without outer header) around any text: payload, padding, pad length and next header as given."""
        sequence = self._next(sequence)
        association = self.association
        plain = ipsec._ESPPlain(  # pylint: disable=protected-access
            spi=self.spi, seq=sequence & 0xFFFFFFFF, iv=secrets.token_bytes(self.suite.iv),
            data=b"", padding=text[:-2], padlen=text[-2], nh=text[-1],
        )
        esp = association.crypt_algo.encrypt(
            association, plain, association.crypt_key, esn_en=self.esn, esn=association.esn
        )
        association.auth_algo.sign(esp, association.auth_key)
        return bytes(esp)

    def text(self, payload, next_header, padding=None):
        """Payload with the padding that RFC 4303 2.4 wants, or another, and the trailer."""
        if padding is None:
            padding = bytes(range(1, 1 + -(len(payload) + 2) % self.suite.align))
        return payload + padding + bytes([len(padding), next_header])

    def wrap(self, esp, source=None, **fields):
        """ESP in its outer header (and UDP, where this SA has it); returns bytes."""
        header = self.outer(source, **fields)
        if self.ports:
            header = header / UDP(sport=self.ports[0], dport=self.ports[1], chksum=0)
        elif header.version == 4:
            header.proto = 50
        else:
            header.nh = 50
        return bytes(header / esp)

    def open(self, outer, sequence=None):
        """The inner packet (bytes) of an outer one (bytes); raises when anything about it is wrong."""
        packet = ip_class(self.destination)(outer)
        assert (packet.src, packet.dst) == (self.source, self.destination)
        if self.ports:
            assert (packet[UDP].sport, packet[UDP].dport) == self.ports
            assert packet[UDP].len == len(bytes(packet[UDP]))
            if packet.version == 6:  # RFC 8200 8.1: not optional there
                assert packet[UDP].chksum != 0
        else:
            assert not packet.haslayer(UDP)
        esp = packet[ipsec.ESP]
        expected = self.sequence + 1 if sequence is None else sequence
        assert esp.seq == expected & 0xFFFFFFFF, f"sequence {esp.seq:#x}, not {expected:#x}"
        self.sequence = expected
        self._use(expected)
        self._check_trailer(bytes(esp))
        return bytes(self.association.decrypt(packet))

    def _check_trailer(self, esp):
        """Padding 1, 2, 3, ... and no more of it than needed; scapy itself does not look."""
        text = self.decrypted(esp)
        padding = text[-2]
        assert text[-2 - padding : -2] == bytes(range(1, padding + 1))
        assert len(text) % self.suite.align == 0

    def decrypted(self, esp):
        """Payload, padding and trailer of ESP (bytes), authentic or not."""
        suite = self.suite
        iv, text = esp[8 : 8 + suite.iv], esp[8 + suite.iv : len(esp) - suite.icv]
        key = self.key[: suite.cipher_key]
        if suite.cipher == "AES-CBC":
            cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
        elif suite.cipher == "AES-GCM":  # blocks are counted from 2, RFC 4106 and SP 800-38D 7.1
            cipher = Cipher(algorithms.AES(key[:-4]), modes.CTR(key[-4:] + iv + b"\0\0\0\2"))
        elif suite.cipher == "CHACHA20-POLY1305":  # blocks are counted from 1, RFC 7539 2.8
            cipher = Cipher(algorithms.ChaCha20(key[:-4], b"\1\0\0\0" + key[-4:] + iv), None)
        else:
            return text
        return cipher.decryptor().update(text)
