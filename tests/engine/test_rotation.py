"""Secrets that the program makes: rotated while uploads run, and found nowhere that others look.

The database is Debian's PostgreSQL, which demands client certificates and asks for no password.
"""

import io
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clients.certificates import issue, make_authority, public_part
from local.machine.process.machine import ProcessMachine
from local.postgres import HOST
from tests.checkout import open_folder
from tests.engine import secret_search
from tests.engine.cloud_operator import CloudOperator, cloud_operator
from tests.eventually import eventually
from tests.tls_database import ONLY_CERTIFICATE, TlsDatabase, serving

STACK = ("--stack", "lab")
USERS = ("db_admin", "pipeline_worker")
CREDENTIALS = ("database-certificate", "database-admin-certificate")
SERVERS = make_authority()


@dataclass
class Lab:
    """A stack that uses a database of its operator's.

    Attributes:
        operator: The operator.
        database: The database.
        printed: All that commands have said.
        secrets: All secrets that the program has made; of a key, a line of its PEM text.
        certificates: The worker's certificate with its key, after each `up`.
        processes: What was seen of all processes while `up` rotated.
        decrypted: The state after the last `up`, with its secrets.
    """

    operator: CloudOperator
    database: TlsDatabase
    printed: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    decrypted: Any = None

    def pipeline(self, *words: str, code: int | None = 0) -> str:
        """Run a command on the stack and return all that it says."""
        answer = self.operator.checkout.pipeline(*words, *STACK, code=code)
        self.printed.append(answer.stdout + answer.stderr)
        return self.printed[-1]

    def up(self) -> None:
        """Run `up` and note the secrets that it made."""
        self.pipeline("up")
        self.decrypted = self.export("--show-secrets")
        found = resources(self.decrypted)
        (made,) = (each for each in found if "authorities" in each["outputs"])
        self.certificates.append(made["outputs"]["certificate"])
        keys = [*made["outputs"]["authorities"], self.certificates[-1]]
        keys.append(made["outputs"]["admin_certificate"])
        (store,) = (each for each in found if "Ec2Credential" in each["type"])
        self.secrets += [key_line(each) for each in keys]
        self.secrets.append(plaintext(store["outputs"]["secret"]))

    def export(self, *words: str) -> Any:
        """Return the state as `pulumi` exports it."""
        command = f'eval "$(./pipeline env {" ".join(STACK)})" && pulumi stack export '
        answer = subprocess.run(
            ["/bin/sh", "-c", command + " ".join(words)],
            cwd=self.operator.checkout.folder,
            env=self.operator.checkout.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(answer.stdout)

    def trust(self) -> None:
        """Do what the database's owner does with the stack's output."""
        outputs = self.operator.checkout.json("outputs", *STACK)
        self.database.trust(outputs["databaseClientCa"])

    def machine(self) -> ProcessMachine:
        """Return the machine that is up."""
        (only,) = self.operator.cloud.machines()
        assert isinstance(only, ProcessMachine)
        return only

    def rows(self) -> list[tuple[object, ...]]:
        """Return key and outcome of all jobs."""
        query = "SELECT key, outcome FROM pipeline.results ORDER BY id"
        return self.database.sql(query, database="pipeline_db")


def resources(state: Any) -> list[dict[str, Any]]:
    """Return the resources of an exported state that have outputs, decrypted."""
    found = [each for each in state["deployment"]["resources"] if each.get("outputs")]
    return [{**each, "outputs": shown(each["outputs"])} for each in found]


def shown(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: plaintext(value) for name, value in outputs.items()}


def plaintext(value: Any) -> Any:
    """Return a value of an exported state; a decrypted secret is JSON in JSON."""
    secret = isinstance(value, dict) and "plaintext" in value
    return json.loads(value["plaintext"]) if secret else value


def key_line(pem: str) -> str:
    return pem.strip().splitlines()[-2]


@pytest.fixture(scope="module")
def lab(pulumi: Path) -> Iterator[Lab]:
    with (
        serving(issue("database", SERVERS, HOST), public_part(make_authority())) as database,
        open_folder() as folder,
        cloud_operator(folder, pulumi) as operator,
    ):
        database.demand(ONLY_CERTIFICATE)
        database.sql(
            *(f"CREATE ROLE {name} LOGIN" for name in USERS),
            "CREATE DATABASE pipeline_db OWNER db_admin",
        )
        root = operator.base / "servers.crt"
        root.write_text(public_part(SERVERS))
        settings = {
            "database": "existing",
            "databaseHost": HOST,
            "databasePort": database.server.port,
            "databaseSslMode": "verify-full",
            "databaseSslRootCert": root,
            "databaseClientCertificates": "true",
            "timerInterval": "1s",
            "protectData": "false",
        }
        words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        operator.checkout.pipeline("init", "lab", *words)
        made = Lab(operator, database)
        made.up()
        yield made


def test_database_admits_the_stack_once_it_trusts_its_certificates(lab: Lab) -> None:
    refused = "put the output databaseClientCa (or the authority of databaseSslCert) into its"
    eventually(lambda: refused in lab.machine().journal.read_text())
    assert "does not trust the authority of the client certificate" in lab.pipeline(
        "status", code=None
    )
    lab.pipeline("put", "samples/cat.jpg")
    lab.trust()
    eventually(lambda: _done(lab) == ["cat.jpg"])


def _done(lab: Lab) -> list[object]:
    if not lab.database.sql("SELECT to_regclass('pipeline.results')", database="pipeline_db")[0][0]:
        return []
    return [key for key, outcome in lab.rows() if outcome == "done"]


def test_rotation_loses_no_upload(lab: Lab) -> None:
    """Uploads go on while `up` replaces certificates, keys and the machine."""
    before = [read(lab, name) for name in CREDENTIALS]
    sent, ending = uploads(lab)
    lab.operator.change("lab", rotation=2)
    lab.up()
    ending.set()
    keys = sent()
    assert len(keys) > 2
    wanted = sorted(["cat.jpg", *keys])
    eventually(lambda: len(lab.rows()) >= len(wanted))
    assert sorted(lab.rows()) == [(key, "done") for key in wanted]
    bucket = lab.operator.checkout.json("outputs", *STACK)["outputBucket"]
    stored = lab.operator.s3().list_objects_v2(Bucket=bucket)["Contents"]
    assert sorted(each["Key"] for each in stored) == [f"negated_{key}" for key in wanted]
    after = [read(lab, name) for name in CREDENTIALS]
    assert len({*before, *after}) == len(before) + len(after)
    assert len(set(lab.secrets)) == len(lab.secrets) - 1  # the second authority became the first


def read(lab: Lab, name: str) -> str:
    """Return a credential of the machine that is up."""
    host = lab.machine()
    eventually(host.booted.exists)  # its files are whole
    return (host.root / "etc/pipeline/credentials" / name).read_text()


def uploads(lab: Lab) -> tuple[Any, threading.Event]:
    """Upload photos until the event is set; the function then returns their keys."""
    store = lab.operator.s3()
    bucket = lab.operator.checkout.json("outputs", *STACK)["inputBucket"]
    photo = (lab.operator.checkout.folder / "samples/cat.jpg").read_bytes()
    keys: list[str] = []
    ending = threading.Event()

    def send() -> None:
        while not ending.wait(0.5):
            key = f"during-{len(keys):03}.jpg"
            store.put_object(Bucket=bucket, Key=key, Body=io.BytesIO(photo))
            keys.append(key)
            lab.processes.append(secret_search.processes())

    thread = threading.Thread(target=send)
    thread.start()

    def sent() -> list[str]:
        thread.join()
        return keys

    return sent, ending


def test_old_certificates_are_refused_once_the_database_trusts_the_new_ones(
    lab: Lab, tmp_path: Path
) -> None:
    lab.trust()
    lab.pipeline("put", "samples/rocket.jpg")
    eventually(lambda: _done(lab)[-1:] == ["rocket.jpg"])
    old, new = lab.certificates
    assert can_connect(lab, tmp_path, new)
    assert not can_connect(lab, tmp_path, old)


def can_connect(lab: Lab, folder: Path, certificate: str) -> bool:
    """Whether the database accepts a certificate; the test fails on any other refusal."""
    file = folder / "client.pem"
    file.touch(mode=0o600)
    file.write_text(certificate)
    try:
        psycopg.connect(
            host=HOST,
            port=lab.database.server.port,
            dbname="pipeline_db",
            user="pipeline_worker",
            sslmode="require",
            sslcert=str(file),
            sslkey=str(file),
        ).close()
    except psycopg.OperationalError as error:
        assert "unknown ca" in str(error)
        return False
    return True


def test_state_holds_secrets_only_encrypted(lab: Lab) -> None:
    decrypted = "\n".join(secret_search.texts(lab.decrypted))
    latest = lab.secrets[len(lab.secrets) // 2 :]
    assert all(secret in decrypted for secret in latest)  # the search finds them
    plain = "\n".join(secret_search.texts(lab.export()))
    assert "databaseClientCa" in plain
    assert not [secret for secret in lab.secrets if secret in plain]


def test_messages_and_errors_show_no_secret(lab: Lab) -> None:
    host = lab.machine()
    with Path("/dev/full").open("w") as full:
        broken = subprocess.run(
            host.worker_command(["sql", "select repeat('x', 99999)"]),
            env=host.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "No space left on device" in broken.stderr
    assert "does not trust the authority" in "".join(lab.printed)
    shown = [*lab.printed, host.journal.read_text(), broken.stderr, lab.pipeline("outputs")]
    shown += [host.run_worker(["log", "--json"]).stdout, host.run_worker(["status"]).stdout]
    assert all(shown)
    assert not [text for text in shown for secret in lab.secrets if secret in text]


def test_no_process_shows_a_secret(lab: Lab) -> None:
    seen = "\n".join(lab.processes)
    assert "CREDENTIALS_DIRECTORY=" in seen
    assert "pulumi" in seen
    assert not [secret for secret in lab.secrets if secret in seen]


def test_no_file_with_a_secret_is_readable_by_others(lab: Lab) -> None:
    found = secret_search.files_with(lab.operator.base, lab.secrets)
    names = {path.name for path in found}
    assert {"user-data", "s3-secret-key", *CREDENTIALS} <= names  # the search finds them
    assert not [path for path in found if not secret_search.is_private(path)]
    assert {mode for path, mode in found.items() if path.name in CREDENTIALS} <= {0o600, 0o400}
