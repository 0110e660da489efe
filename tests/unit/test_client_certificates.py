"""Client certificates of the database: what the program plans, and what a rotation changes."""

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from clients.certificates import issue
from infra.providers.certificates import ClientCertificatesProvider
from tests.unit.program import Run, run_program, written
from tests.unit.stack_settings import stack_settings

pytestmark = pytest.mark.usefixtures("clouds_yaml")

PROPS = {"user": "pipeline_worker", "admin": "db_admin", "rotation": 1}
SECRET = {"certificate", "admin_certificate", "authorities"}
EXISTING = {
    "database": "existing",
    "databaseHost": "192.0.2.1",
    "databaseSslMode": "require",
    "databaseAdminPassword": "unit-admin-password",
    "databaseUserPassword": "unit-user-password",
}


def created() -> dict[str, Any]:
    return dict(ClientCertificatesProvider().create(PROPS).outs or {})


def updated(olds: dict[str, Any], **changes: object) -> dict[str, Any]:
    provider, before = ClientCertificatesProvider(), copy.deepcopy(olds)
    news = {**PROPS, **changes}
    assert provider.diff("id", olds, news).changes
    assert not provider.diff("id", olds, news).replaces
    outs = dict(provider.update("id", olds, news).outs or {})
    assert olds == before
    assert not provider.diff("id", outs, news).changes
    return outs


def signers(made: dict[str, Any]) -> list[x509.Certificate]:
    """Return the authorities that a database trusts."""
    return x509.load_pem_x509_certificates(made["trusted"].encode())


def is_trusted(made: dict[str, Any], by: dict[str, Any]) -> bool:
    """Whether a database that trusts `by` accepts both certificates of `made`."""
    return all(_signed(made[name], by) for name in ("certificate", "admin_certificate"))


def _signed(pem: str, by: dict[str, Any]) -> bool:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    found = [each for each in signers(by) if each.subject == certificate.issuer]
    for each in found:
        certificate.verify_directly_issued_by(each)
    return bool(found)


def test_common_names_are_the_users_names() -> None:
    made = created()
    for role, name in (("user", "certificate"), ("admin", "admin_certificate")):
        certificate = x509.load_pem_x509_certificate(made[name].encode())
        assert certificate.subject.rfc4514_string() == f"CN={PROPS[role]}"
        assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=1)
        assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3000)
        assert made[name].count("PRIVATE KEY") == 2
    assert "PRIVATE KEY" not in made["trusted"]


def test_certificates_of_the_next_rotation_are_trusted_before_it() -> None:
    first = created()
    second = updated(first, rotation=2)
    third = updated(second, rotation=3)
    assert is_trusted(first, by=first)
    assert is_trusted(second, by=first)
    assert is_trusted(third, by=second)
    # Trusting the authorities of after a rotation withdraws the certificates of before.
    assert not is_trusted(first, by=second)
    assert not is_trusted(third, by=first)
    assert len({each["certificate"] for each in (first, second, third)}) == 3


def test_another_user_gets_a_certificate_of_the_same_authority() -> None:
    first = created()
    second = updated(first, user="someone")
    assert second["trusted"] == first["trusted"]
    assert is_trusted(second, by=first)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_program(stack_settings(tmp_path, **EXISTING, databaseClientCertificates="true"))


def test_program_plans_one_resource_whose_keys_are_secret(run: Run) -> None:
    made = run.one("ClientCertificates")
    names = {"user": "pipeline_worker", "admin": "db_admin", "rotation": 1}
    assert {name: made.inputs[name] for name in names} == names
    assert set(made.request.additionalSecretOutputs) == SECRET
    assert "databaseClientCa" in run.outputs
    assert "databaseClientCa" not in run.secret_outputs


def test_certificates_of_another_authority_reach_both_users(tmp_path: Path) -> None:
    for name in ("worker", "admin"):
        (tmp_path / f"{name}.pem").write_text(issue(name))
    files = {
        "databaseSslCert": tmp_path / "worker.pem",
        "databaseSslKey": tmp_path / "worker.pem",
    }
    admin = {
        "databaseAdminSslCert": tmp_path / "admin.pem",
        "databaseAdminSslKey": tmp_path / "admin.pem",
    }
    for more, owner in (({}, "worker"), (admin, "admin")):
        settings = {name: str(path) for name, path in (files | more).items()}
        run = run_program(stack_settings(tmp_path, **EXISTING, **settings))
        assert not run.of("ClientCertificates")
        found = written(run)
        for credential, name in (("database", "worker"), ("database-admin", owner)):
            text = found[f"/etc/pipeline/credentials/{credential}-certificate"]
            assert (tmp_path / f"{name}.pem").read_text() in text
        assert "client_certificate = true" in found["/etc/pipeline/worker.toml"]
