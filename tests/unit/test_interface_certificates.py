"""The machine's certificate and the stack's authority: what they are for, and when they change."""

import copy
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from clients.certificates import derived_password, issue, public_part
from infra.providers.certificates import InterfaceCertificatesProvider

PROPS = {"address": "203.0.113.7", "domain": "upload.example.org"}
SECRET = {"certificate", "authority"}


def created(**props: object) -> dict[str, Any]:
    return dict(InterfaceCertificatesProvider().create({**PROPS, **props}).outs or {})


def updated(olds: dict[str, Any], **props: object) -> dict[str, Any]:
    provider, before = InterfaceCertificatesProvider(), copy.deepcopy(olds)
    news = {**PROPS, **props}
    difference = provider.diff("id", olds, news)
    assert difference.changes
    assert not difference.replaces
    outs = dict(provider.update("id", olds, news).outs or {})
    assert olds == before
    assert not provider.diff("id", outs, news).changes
    return outs


def verify(made: dict[str, Any], trusted: str, host: str) -> None:
    """Verify the server's certificate as a client does; it raises if it is refused."""
    subject = ip_address(host) if host[0].isdigit() else None
    store = Store([x509.load_pem_x509_certificate(trusted.encode())])
    name: Any = x509.IPAddress(subject) if subject else x509.DNSName(host)
    verifier = PolicyBuilder().store(store).build_server_verifier(name)
    verifier.verify(x509.load_pem_x509_certificate(made["certificate"].encode()), [])


@pytest.mark.parametrize("host", ["203.0.113.7", "upload.example.org", "127.0.0.1"])
def test_server_is_trusted_by_each_of_its_names(host: str) -> None:
    made = created()
    verify(made, made["trusted"], host)
    with pytest.raises(x509.verification.VerificationError):
        verify(made, created()["trusted"], host)
    with pytest.raises(x509.verification.VerificationError):
        verify(made, made["trusted"], "192.0.2.99")


def test_strict_client_shakes_hands_by_address(tmp_path: Path) -> None:
    """As Python 3.13 verifies by default; the server reads certificate and key from one file."""
    made = created(domain="")
    (tmp_path / "server.pem").write_text(made["certificate"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    client = ssl.create_default_context(cadata=made["trusted"])
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname="203.0.113.7"),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(4):  # flights of TLS 1.3
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    ends[0].write(b"hello")
    assert ends[1].read(5) == b"hello"


def test_authority_key_leaves_neither_output_nor_certificate() -> None:
    made = created()
    assert "PRIVATE KEY" not in made["trusted"]
    key = made["authority"].removeprefix(made["trusted"])
    assert "PRIVATE KEY" in key
    assert all(key not in made[name] for name in made if name != "authority")


@pytest.mark.parametrize("props", [{"address": "203.0.113.8"}, {"domain": "new.example.org"}])
def test_another_name_changes_the_certificate_only(props: dict[str, str]) -> None:
    first = created()
    second = updated(first, **props)
    assert second["authority"] == first["authority"]
    assert second["trusted"] == first["trusted"]
    verify(second, first["trusted"], {**PROPS, **props}["address"])
    verify(second, first["trusted"], {**PROPS, **props}["domain"])
    assert not InterfaceCertificatesProvider().diff("id", first, PROPS).changes


@pytest.mark.parametrize("days", [-1, 0, 300])
def test_certificate_is_issued_anew_before_it_ends(days: int) -> None:
    """Cameras go on to trust it: the authority stays."""
    first = created()
    old = issue("203.0.113.7", first["authority"], "203.0.113.7", days=days)
    second = updated({**first, "certificate": old})
    end = x509.load_pem_x509_certificate(second["certificate"].encode()).not_valid_after_utc
    authority = x509.load_pem_x509_certificate(first["trusted"].encode()).not_valid_after_utc
    assert datetime.now(UTC) + timedelta(days=3000) < end < authority
    verify(second, first["trusted"], "203.0.113.7")


def test_camera_password_is_of_the_authoritys_key() -> None:
    first, other = created()["authority"], created()["authority"]
    assert derived_password(first, "camera door 1") == derived_password(first, "camera door 1")
    distinct = {
        derived_password(first, "camera door 1"),
        derived_password(first, "camera door 2"),
        derived_password(first, "camera gate 1"),
        derived_password(other, "camera door 1"),
    }
    assert len(distinct) == 4
    assert derived_password(public_part(first), "camera door 1") not in distinct
