"""A pipeline as the cloud would hand it to the worker, and what one sees of it from outside."""

import json
import os
import resource
import secrets
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import boto3
import psycopg
from botocore.config import Config
from psycopg.rows import dict_row

from local import postgres
from local.object_store import ObjectStore
from local.postgres import PostgreSQL

ROOT = Path(__file__).resolve().parents[2]


def client(store: ObjectStore) -> Any:
    """The user's own S3 client."""
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1},
    )
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=config,
    )


class Pipeline:
    """Three buckets, a database with its two users, and the worker's settings."""

    def __init__(
        self, folder: Path, store: ObjectStore, server: PostgreSQL, *, versions: bool
    ) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        self.input, self.output, self.quarantine = (
            f"{self.name}-{kind}" for kind in ("input", "output", "quarantine")
        )
        self.store, self.server, self.folder, self.versions = store, server, folder, versions
        self.s3 = client(store)
        # Roles belong to the whole server, so their names are the test's own.
        self.database = self.name
        self.admin, self.user = f"{self.name}-admin", f"{self.name}-worker"
        self.admin_password, self.password = secrets.token_hex(8), secrets.token_hex(8)
        self.kind = ""  # of its input bucket, where a test runs on several
        self.environment: dict[str, str] = {}
        self.largest_file: int | None = None  # bytes; what the worker itself may write

    def __enter__(self) -> Self:
        for bucket in (self.input, self.output, self.quarantine):
            self.make_bucket(bucket)
        if self.versions:
            self.s3.put_bucket_versioning(
                Bucket=self.input, VersioningConfiguration={"Status": "Enabled"}
            )
        postgres.create_database(self.server, self.database)
        postgres.create_user(self.server, self.admin, self.admin_password, [self.database])
        postgres.create_user(self.server, self.user, self.password)
        self.configure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        postgres.drop_database(self.server, self.database)
        postgres.drop_user(self.server, self.admin)
        postgres.drop_user(self.server, self.user)

    def make_bucket(self, name: str) -> None:
        self.s3.create_bucket(Bucket=name)

    def configure(self, **changes: dict[str, object]) -> None:
        """Write worker.toml, with other values in some of its tables."""
        tables: dict[str, dict[str, object]] = {
            "store": {
                "endpoint": self.store.endpoint,
                "input": self.input,
                "output": self.output,
                "quarantine": self.quarantine,
            },
            "database": {
                "host": self.server.host,
                "port": self.server.port,
                "name": self.database,
                "user": self.user,
                "admin": self.admin,
                "sslmode": "disable",
            },
            "limits": {},
        }
        text = f'pipeline = "{self.name}"\ntransform = "negate"\nmachine = "vm-1"\n'
        for table, values in tables.items():
            text += f"[{table}]\n"
            for name, value in (values | changes.get(table, {})).items():
                text += f"{name} = {json.dumps(value)}\n"
        self.folder.mkdir(exist_ok=True)
        self.settings.write_text(text)
        credentials = self.folder / "credentials"
        credentials.mkdir(exist_ok=True)
        for name, secret in {
            "s3-access-key": self.store.access_key,
            "s3-secret-key": self.store.secret_key,
            "database-password": self.password,
            "database-admin-password": self.admin_password,
        }.items():
            (credentials / name).write_text(secret)

    @property
    def settings(self) -> Path:
        return self.folder / "worker.toml"

    def popen(
        self, *arguments: str, stdout: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """The worker as a process of its own."""
        limit = self.largest_file

        def confine() -> None:
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            [sys.executable, "-m", "worker", "--settings", str(self.settings), *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            preexec_fn=confine,  # noqa: PLW1509
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | self.environment,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The worker until it ends."""
        process = self.popen(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def migrate(self) -> None:
        done = self.run("migrate")
        assert done.returncode == 0, done.stderr

    def drain(self, status: int = 0) -> subprocess.CompletedProcess[str]:
        """One pass that must end with the status, and never with a traceback."""
        done = self.run("drain")
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> str:
        """Upload as a user does; the version id, if any."""
        answer = self.s3.put_object(Bucket=self.input, Key=key, Body=body, Metadata=metadata or {})
        return str(answer.get("VersionId", ""))

    def next_second(self) -> None:
        """Return in a later second of the store's clock."""

        def now() -> str:
            answer = self.s3.head_bucket(Bucket=self.input)
            return str(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

        start = now()
        while now() == start:
            time.sleep(0.02)

    def get(self, key: str) -> bytes:
        """A result."""
        return bytes(self.s3.get_object(Bucket=self.output, Key=key)["Body"].read())

    def keys(self, bucket: str) -> list[str]:
        """All keys of a bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [line["Key"] for page in pages for line in page.get("Contents", [])]

    def left(self) -> list[str]:
        """Everything in the input bucket, versions and delete markers too."""
        if not self.versions:
            return self.keys(self.input)
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.input)
        return [
            line["Key"]
            for page in pages
            for line in page.get("Versions", []) + page.get("DeleteMarkers", [])
        ]

    def sql(self, query: str, *, user: str | None = None) -> list[dict[str, Any]]:
        """Ask the database, as its superuser unless told otherwise."""
        passwords = {self.admin: self.admin_password, self.user: self.password}
        dsn = self.server.dsn(self.database)
        if user:
            dsn = self.server.dsn(self.database, user, passwords[user])
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def log(self, *arguments: str) -> list[dict[str, Any]]:
        """What `log --json` prints, a JSON object per line."""
        done = self.run("log", "--json", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's results."""
        return self.sql("SELECT * FROM pipeline.results ORDER BY id")
