"""Mutual TLS with a real PostgreSQL: both sides refuse what is wrong, each in one sentence."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.certificates import issue, make_authority, public_part
from local.object_store import ObjectStore
from local.postgres import HOST
from tests.tls_database import BOTH, ONLY_CERTIFICATE, TlsDatabase, serving
from tests.worker.dispatch import dispatched
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

SERVERS, CLIENTS, OTHERS = (make_authority() for _ in range(3))
GOOD = issue("database", SERVERS, HOST)
CERTIFICATES = {"user": "database-certificate", "admin": "database-admin-certificate"}


@pytest.fixture(scope="module")
def database() -> Iterator[TlsDatabase]:
    with serving(GOOD, public_part(CLIENTS)) as made:
        yield made


@pytest.fixture
def pipeline(tmp_path: Path, moto: ObjectStore, database: TlsDatabase) -> Iterator[Pipeline]:
    """A pipeline with everything that the database demands."""
    database.show(GOOD)
    database.demand(BOTH)
    with Pipeline(tmp_path, moto, database.server, versions=True) as made:
        root = tmp_path / "root.crt"
        root.write_text(public_part(SERVERS))
        made.tables["database"] = {
            "sslmode": "verify-full",
            "sslrootcert": str(root),
            "client_certificate": True,
        }
        made.configure()
        for role in CERTIFICATES:
            show(made, issue(getattr(made, role), CLIENTS), role)
        yield made


def show(pipeline: Pipeline, certificate: str, role: str = "user") -> None:
    """Give a role another certificate and key."""
    path = pipeline.folder / "credentials" / CERTIFICATES[role]
    path.touch(mode=0o600)
    path.write_text(certificate)


def test_both_roles_work_with_certificate_and_password(pipeline: Pipeline) -> None:
    pipeline.migrate()
    pipeline.put("x.png", encode(picture(), "PNG"))
    pipeline.drain()
    assert [row["key"] for row in pipeline.rows()] == ["x.png"]


def test_the_queue_works_with_certificate_and_password(pipeline: Pipeline) -> None:
    pipeline.make_tables()
    assert dispatched(pipeline) == "a.png"


def test_no_password_is_needed_where_the_database_asks_for_none(
    pipeline: Pipeline, database: TlsDatabase
) -> None:
    database.demand(ONLY_CERTIFICATE)
    for name in ("database-password", "database-admin-password"):
        (pipeline.folder / "credentials" / name).write_text("")
    pipeline.migrate()
    assert pipeline.log() == []


def no_certificate(pipeline: Pipeline, database: TlsDatabase) -> None:
    del database
    del pipeline.tables["database"]["client_certificate"]
    pipeline.configure()


def expired_server(pipeline: Pipeline, database: TlsDatabase) -> None:
    del pipeline
    database.show(issue("database", SERVERS, HOST, days=-1))


def other_server(pipeline: Pipeline, database: TlsDatabase) -> None:
    del pipeline
    database.show(issue("database", OTHERS, HOST))


def other_name(pipeline: Pipeline, database: TlsDatabase) -> None:
    del database
    pipeline.configure(database={"host": "localhost"})


def wide_permissions(pipeline: Pipeline, database: TlsDatabase) -> None:
    del database
    (pipeline.folder / "credentials" / CERTIFICATES["user"]).chmod(0o644)


def of(authority: str, name: str = "", days: int = 1) -> Callable[[Pipeline, TlsDatabase], None]:
    """Return a change: the worker shows a certificate of this kind."""
    return lambda pipeline, _: show(pipeline, issue(name or pipeline.user, authority, days=days))


WRONG: dict[str, tuple[Callable[[Pipeline, TlsDatabase], None], str, str]] = {
    "no client certificate": (
        no_certificate,
        "FATAL: connection requires a valid client certificate: ",
        "set databaseClientCertificates, or databaseSslCert and databaseSslKey.",
    ),
    "client of another authority": (
        of(OTHERS),
        "the database does not trust the authority of the client certificate, ",
        "put the output databaseClientCa (or the authority of databaseSslCert) into its "
        "ssl_ca_file.",
    ),
    "expired client": (
        of(CLIENTS, days=-1),
        "the client certificate has expired, ",
        "raise rotation, or renew databaseSslCert.",
    ),
    "another user's certificate": (
        of(CLIENTS, "somebody"),
        "password authentication failed",
        "or the client certificate's common name is not the user's.",
    ),
    "readable key": (
        wide_permissions,
        "has group or world access; ",
        "owned by root.",
    ),
    "expired server": (
        expired_server,
        "the database's certificate is not valid (certificate has expired), ",
        "renew it, or set databaseSslRootCert to the authority that signed it.",
    ),
    "server of another authority": (
        other_server,
        "the database's certificate is not valid (unable to get local issuer certificate), ",
        "set databaseSslRootCert to the authority that signed it.",
    ),
    "server of another name": (
        other_name,
        "does not match host name ",
        "databaseHost must be a name or an address in the database's certificate.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_problem_is_one_sentence(pipeline: Pipeline, database: TlsDatabase, name: str) -> None:
    cause, problem, remedy = WRONG[name]
    secret = (pipeline.folder / "credentials" / CERTIFICATES["user"]).read_text()
    cause(pipeline, database)
    done = pipeline.run("log")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The connection to the database ")
    assert done.stderr.count("\n") == 1
    assert problem in done.stderr
    assert done.stderr.endswith(f"{remedy}\n")
    assert secret.splitlines()[-2] not in done.stderr


def test_common_name_alone_is_reported_as_such(pipeline: Pipeline, database: TlsDatabase) -> None:
    database.demand(ONLY_CERTIFICATE)
    show(pipeline, issue("somebody", CLIENTS))
    error = pipeline.run("log").stderr
    assert "certificate authentication failed" in error
    assert error.endswith(": the client certificate's common name must be the user's.\n")


def test_missing_certificate_is_a_missing_credential(pipeline: Pipeline) -> None:
    (pipeline.folder / "credentials" / CERTIFICATES["user"]).unlink()
    done = pipeline.run("log")
    assert done.returncode == 2
    assert "/database-certificate is missing, empty or not readable: write it" in done.stderr
