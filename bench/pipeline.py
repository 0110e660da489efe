"""A pipeline without Pulumi: local buckets and database, and the worker as a process."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

import boto3
import psycopg
from botocore.config import Config
from psycopg.rows import dict_row

from local import postgres
from local.object_store import ObjectStore
from local.ports import listens
from local.postgres import PostgreSQL

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 120  # other work may take the cores


def client(store: ObjectStore) -> Any:
    """Return boto3's client of a store, as a user's program would make it; it never retries."""
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


class WorkerPipeline:
    """Three buckets, a database with its two users, and the worker's settings.

    The database goes when the context ends; the buckets go with the store.
    """

    def __init__(
        self, folder: Path, store: ObjectStore, server: PostgreSQL, *, versions: bool
    ) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        self.input, self.output, self.quarantine = (
            f"{self.name}-{kind}" for kind in ("input", "output", "quarantine")
        )
        self.store, self.server, self.folder, self.versions = store, server, folder, versions
        self.s3 = client(store)
        # Roles belong to the whole server, so each pipeline has its own.
        self.database = self.name
        self.admin, self.user = f"{self.name}-admin", f"{self.name}-worker"
        self.admin_password, self.password = secrets.token_hex(8), secrets.token_hex(8)
        self.environment: dict[str, str] = {}
        self.tables: dict[str, dict[str, object]] = {}

    def __enter__(self) -> Self:
        for bucket in (self.input, self.output, self.quarantine):
            self.make_bucket(bucket)
        if self.versions:
            for bucket in (self.input, self.output):
                self.enable_versions(bucket)
        postgres.create_database(self.server, self.database)
        postgres.create_user(self.server, self.admin, self.admin_password, [self.database])
        postgres.create_user(self.server, self.user, self.password)
        self.configure()
        return self

    def __exit__(self, *_: object) -> None:
        postgres.drop_database(self.server, self.database)
        postgres.drop_user(self.server, self.admin)
        postgres.drop_user(self.server, self.user)

    def make_bucket(self, name: str) -> None:
        """Create a bucket; another store may need another way."""
        self.s3.create_bucket(Bucket=name)

    def enable_versions(self, bucket: str) -> None:
        """Let a bucket keep versions."""
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def configure(self, **changes: dict[str, object]) -> None:
        """Write worker.toml; `changes` replace values, by table (`write_settings`)."""
        self.write_settings(self.folder, **changes)

    def write_settings(self, folder: Path, **changes: dict[str, object]) -> Path:
        """Write worker.toml and the credentials into a folder.

        The tables are top, store, database, and, of the first pipeline, pipeline and limits;
        `changes` replace values, by table; `tables` has values of these and further tables for all
        calls. Uploads are deleted as soon as they are recorded, and empty ones do not wait for
        their content.

        Returns:
            The path of worker.toml.
        """
        tables: dict[str, dict[str, object]] = {
            "top": {
                "stack": self.name,
                "machine": "vm-1",
                "grace_seconds": 0,
                "empty_seconds": 0,
            },
            "store": {"endpoint": self.store.endpoint, "quarantine": self.quarantine},
            "database": {
                "host": self.server.host,
                "port": self.server.port,
                "name": self.database,
                "user": self.user,
                "admin": self.admin,
                "sslmode": "disable",
            },
            "pipeline": {"transform": "negate", "input": self.input, "output": self.output},
            "limits": {},
        }
        titles = {"pipeline": "pipelines.negatives", "limits": "pipelines.negatives.limits"}
        text = ""
        for table in tables | self.tables:
            text += f"[{titles.get(table, table)}]\n" if table != "top" else ""
            values = tables.get(table, {}) | self.tables.get(table, {}) | changes.get(table, {})
            for name, value in values.items():
                text += f"{name} = {json.dumps(value)}\n"
        credentials = folder / "credentials"
        credentials.mkdir(parents=True, exist_ok=True)
        (folder / self.settings.name).write_text(text)
        for name, secret in {
            "s3-access-key": self.store.access_key,
            "s3-secret-key": self.store.secret_key,
            "database-password": self.password,
            "database-admin-password": self.admin_password,
        }.items():
            (credentials / name).write_text(secret)
        return folder / self.settings.name

    @property
    def settings(self) -> Path:
        """Path of worker.toml."""
        return self.folder / "worker.toml"

    @property
    def command(self) -> Sequence[str]:
        """What starts a worker, without arguments."""
        return (sys.executable, "-m", "worker")

    @property
    def process_environment(self) -> dict[str, str]:
        """The environment of its process."""
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | self.environment

    def popen(
        self,
        *arguments: str,
        stdout: int | IO[str] = subprocess.PIPE,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """Start `python -m worker` with these arguments."""
        return subprocess.Popen(
            [*self.command, "--settings", str(self.settings), *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            preexec_fn=preexec_fn,  # noqa: PLW1509
            env=self.process_environment,
        )

    def start_web(
        self, port: int, *, stdout: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start `worker web`; return its process once it accepts connections."""
        process = self.popen("web", "--port", str(port), stdout=stdout)
        deadline = time.monotonic() + _START_SECONDS
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                _, errors = process.communicate()
                raise RuntimeError(f"`worker web` accepts no connections: {errors}")
            time.sleep(0.05)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker` with these arguments to its end."""
        process = self.popen(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def migrate(self) -> None:
        """Create the worker's tables."""
        answer = self.run("migrate")
        if answer.returncode:
            raise RuntimeError(f"the migration failed: {answer.stderr}")

    def sql(self, query: str, *values: object, user: str | None = None) -> list[dict[str, Any]]:
        """Run a statement, as the superuser or as `user`; return its rows, if it has any."""
        passwords = {self.admin: self.admin_password, self.user: self.password}
        dsn = self.server.dsn(self.database)
        if user:
            dsn = self.server.dsn(self.database, user, passwords[user])
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def keys(self, bucket: str) -> list[str]:
        """Return all keys of a bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [line["Key"] for page in pages for line in page.get("Contents", [])]

    def left(self) -> list[str]:
        """Return the keys of the input bucket, each as often as it has versions or markers."""
        if not self.versions:
            return self.keys(self.input)
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.input)
        return [
            line["Key"]
            for page in pages
            for line in page.get("Versions", []) + page.get("DeleteMarkers", [])
        ]
