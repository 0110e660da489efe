"""X.509 certificates (RFC 5280) as PEM text: a certificate and its key together.

The package `cryptography` is imported where it is used: most commands need no certificate.
"""

# ruff: noqa: PLC0415

import datetime
import secrets
from typing import Any

#: Certificates are replaced by `rotation` only; one that expired would stop the pipeline.
VALID_DAYS = 3650
_KEY = "-----BEGIN PRIVATE KEY-----"


def make_authority() -> str:
    """Make an authority: a self-signed certificate that signs others."""
    # OpenSSL looks issuers up by name, so every authority needs its own.
    return issue(f"image-pipeline {secrets.token_hex(8)}")


def issue(name: str, authority: str = "", address: str = "", days: int = VALID_DAYS) -> str:
    """Issue a certificate with a new key (P-256).

    Args:
        name: Its common name.
        authority: Certificate and key of the authority that signs it; "" for a self-signed one.
        address: The server's IP address; "" for the certificate of a client or an authority.
        days: How long it is valid; negative for one that has expired.

    Returns:
        Certificate and key, PEM.
    """
    from ipaddress import ip_address

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
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return (builder.sign(signer, hashes.SHA256()).public_bytes(pem) + private).decode()


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
