"""X.509 certificates (RFC 5280) as PEM text: a certificate and its key together.

The package `cryptography` is imported where it is used: most commands need no certificate.
"""

# ruff: noqa: PLC0415

import datetime
import secrets
from typing import Any

from worker.web.tokens import derived

#: Certificates are replaced by `rotation` only; one that expired would stop the pipeline.
VALID_DAYS = 3650
_KEY = "-----BEGIN PRIVATE KEY-----"
#: All of RFC 5280, section 4.2.1.3.
_KEY_USAGE = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def make_authority(days: int = VALID_DAYS) -> str:
    """Make an authority: a self-signed certificate that signs others."""
    # OpenSSL looks issuers up by name, so every authority needs its own.
    return issue(f"image-pipeline {secrets.token_hex(8)}", days=days)


def issue(name: str, authority: str = "", *hosts: str, days: int = VALID_DAYS) -> str:
    """Issue a certificate with a new key (P-256).

    Args:
        name: Its common name.
        authority: Certificate and key of the authority that signs it; "" for a self-signed one.
        hosts: The server's IP addresses and domains; none for a client's or an authority's.
        days: How long it is valid; negative for one that has expired.

    Returns:
        Certificate and key, PEM.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer: Any = key
    if authority:
        issuer = x509.load_pem_x509_certificate(authority.encode()).subject
        signer = serialization.load_pem_private_key(authority.encode(), None)
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    # Python 3.13 verifies as RFC 5280 says (VERIFY_X509_STRICT): section 4.2.1.1 to 4.2.1.3.
    usage = dict.fromkeys(_KEY_USAGE, False) | dict.fromkeys(
        ("digital_signature",) if authority else ("key_cert_sign", "crl_sign"), True
    )
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of a new machine and of the server may be behind.
        .not_valid_before(now + min(days, 0) * day - day)
        .not_valid_after(now + days * day)
        .add_extension(x509.BasicConstraints(ca=not authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signed_by, critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return (builder.sign(signer, hashes.SHA256()).public_bytes(pem) + private).decode()


def _host(name: str) -> Any:
    from ipaddress import ip_address

    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def days_left(pem: str) -> int:
    """Return for how many days a certificate is valid; negative after its end."""
    from cryptography import x509

    end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    return (end - datetime.datetime.now(datetime.UTC)).days


def derived_password(authority: str, purpose: str) -> str:
    """Return a password that whoever has an authority's key can derive: 32 digits of base64url.

    Args:
        authority: Certificate and key, PEM; the certificate does not matter.
        purpose: What the password is for; another text gives another password.
    """
    return derived(authority.partition(_KEY)[2], purpose)


def public_part(pem: str) -> str:
    """Return the certificate without its key."""
    return pem.partition(_KEY)[0]


def is_certificate(pem: str) -> bool:
    """Return whether a text contains a certificate."""
    from cryptography import x509

    try:
        return bool(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return False


def is_private_key(pem: str) -> bool:
    """Return whether a text contains a private key without a passphrase."""
    from cryptography.hazmat.primitives import serialization

    try:
        return bool(serialization.load_pem_private_key(pem.encode(), None))
    except (TypeError, ValueError):  # TypeError: it needs a passphrase
        return False


def is_ssh_key(line: str) -> bool:
    """Return whether a line is one public key of OpenSSH, "type base64 comment" (RFC 4253, 6.6)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        return "\n" not in line and bool(load_ssh_public_key(line.encode()))
    except (ValueError, UnsupportedAlgorithm):
        return False
