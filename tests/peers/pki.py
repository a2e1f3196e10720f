"""A certification authority of the tests, and the certificates that charon shows its peers."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Penstock"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Pki:
    """One authority; `certify` makes a certificate with its key, and puts both into a charon's folder."""

    def __init__(self, name="Authority", key="ecdsa"):
        self.kind = key
        self.key = self._new_key()
        self.certificate = self._sign(_name(name), self.key, [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
                           key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                           decipher_only=False), True),
        ], _name(name))

    def _new_key(self):
        if self.kind == "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return ec.generate_private_key(ec.SECP256R1())

    def _sign(self, subject, key, extensions, issuer):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + 30 * DAY))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, charon, name):
        """Gives a charon a certificate for a DNS name or an address, its key, and the authority's certificate.

        Returns the file name to write into `certs` of a connection's local section.
        """
        try:
            alternative = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        key = self._new_key()
        certificate = self._sign(_name(name), key, [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName([alternative]), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        ], self.certificate.subject)
        file = f"{name}.pem"
        (charon.folder / "x509" / file).write_bytes(_pem(certificate))
        private = charon.folder / "private" / file
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.trust(charon)
        return file

    def trust(self, charon):
        """Lets a charon believe in the authority."""
        (charon.folder / "x509ca" / "authority.pem").write_bytes(_pem(self.certificate))
