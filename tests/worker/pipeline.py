"""A pipeline as a stack provides it to the worker, and its contents as a user sees them."""

import json
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from bench.pipeline import ROOT, WorkerPipeline, client
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from worker import settings
from worker.ledger import migrations

__all__ = ["ROOT", "Pipeline", "client"]


class Pipeline(WorkerPipeline):
    """One that tests look at."""

    def __init__(
        self, folder: Path, store: ObjectStore, server: PostgreSQL, *, versions: bool
    ) -> None:
        super().__init__(folder, store, server, versions=versions)
        self.kind = ""  # of its input bucket, see conftest.KINDS
        self.largest_file: int | None = None  # bytes; the limit of files that the worker writes

    def popen(
        self,
        *arguments: str,
        stdout: int | IO[str] = subprocess.PIPE,
        preexec_fn: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the worker, limited to `largest_file`."""
        limit = self.largest_file

        def limit_files() -> None:
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return super().popen(*arguments, stdout=stdout, preexec_fn=preexec_fn or limit_files)

    def make_tables(self) -> None:
        """Do what `migrate` does, without a process, whose start takes longer than all else."""
        migrations.migrate_stack(settings.load(self.settings, {}, ("database-admin-password",)))

    def drain(self, status: int = 0, pipeline: str = "") -> subprocess.CompletedProcess[str]:
        """Make a pass, and check its exit status and that it shows no traceback."""
        done = self.run("drain", *(["--pipeline", pipeline] if pipeline else []))
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> str:
        """Upload as a user does and return the version id, if any."""
        answer = self.s3.put_object(Bucket=self.input, Key=key, Body=body, Metadata=metadata or {})
        return str(answer.get("VersionId", ""))

    def next_second(self) -> None:
        """Wait for the next second of the store's clock."""

        def now() -> str:
            answer = self.s3.head_bucket(Bucket=self.input)
            return str(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

        start = now()
        while now() == start:
            time.sleep(0.02)

    def get(self, key: str) -> bytes:
        """Return an object of the output bucket."""
        return bytes(self.s3.get_object(Bucket=self.output, Key=key)["Body"].read())

    def log(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the rows that `log --json` prints."""
        done = self.run("log", "--json", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `results`."""
        return self.sql("SELECT * FROM pipeline.results ORDER BY id")
