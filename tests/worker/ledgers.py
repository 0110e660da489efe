"""The ledgers of a stack: in memory, and in PostgreSQL."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import psycopg

from tests.worker.pipeline import Pipeline
from worker.ledger.ledger import DROPPED, Ledger
from worker.ledger.memory_ledger import MemoryLedger
from worker.ledger.memory_messages import MemoryMessages
from worker.ledger.memory_tables import MemoryTables, RetryRow
from worker.ledger.messages import MessageLedger
from worker.ledger.postgres_ledger import PostgresLedger
from worker.ledger.postgres_messages import PostgresMessages
from worker.uploads.job import Job


class Ledgers:
    """The ledgers of a stack's machines and pipelines, and its tables as a superuser sees them."""

    def __init__(self, open_ledger: Callable[[str, str], Ledger]) -> None:
        self.open = open_ledger

    def messages(self, machine: str) -> MessageLedger:
        """Return the ledger of cameras' messages."""
        raise NotImplementedError

    def age_messages(self) -> None:
        """Let eight days pass since messages arrived."""
        raise NotImplementedError

    def received(self) -> list[int]:
        """Return how many pictures of each counted minute have arrived."""
        raise NotImplementedError

    def expire_leases(self) -> None:
        raise NotImplementedError

    def age_results(self) -> None:
        """Let two hours pass since results were recorded."""
        raise NotImplementedError

    def add_retry(self, old_id: str, row: RetryRow) -> None:
        raise NotImplementedError

    def drop(self, job: Job) -> None:
        """Let an operator drop a quarantined job."""
        raise NotImplementedError

    def age_gathers(self) -> None:
        """Let a minute pass since a machine began to store the files of runs."""
        raise NotImplementedError

    def age_heartbeats(self) -> None:
        """Let a minute pass since machines' heartbeats."""
        raise NotImplementedError

    def rows(self) -> list[tuple[str, str, str | None]]:
        """Return key, outcome and reason of all results, sorted."""
        raise NotImplementedError


class LedgersInMemory(Ledgers):
    def __init__(self) -> None:
        self.tables = MemoryTables()
        super().__init__(lambda machine, name: MemoryLedger(machine, name, self.tables))

    def messages(self, machine: str) -> MessageLedger:
        return MemoryMessages(self.tables, machine)

    def age_messages(self) -> None:
        for name, row in self.tables.messages.items():
            past = row.created_at - timedelta(days=8)
            self.tables.messages[name] = replace(row, created_at=past)

    def received(self) -> list[int]:
        rows = sorted(self.tables.camera_minutes.items())
        return [received for _, (_, received) in rows]

    def expire_leases(self) -> None:
        for key, (lease, machine, until) in self.tables.leases.items():
            self.tables.leases[key] = (lease, machine, until - timedelta(minutes=1))

    def age_results(self) -> None:
        for key, (moment, machine, result) in self.tables.results.items():
            self.tables.results[key] = (moment - timedelta(hours=2), machine, result)

    def add_retry(self, old_id: str, row: RetryRow) -> None:
        self.tables.retries[old_id] = row

    def drop(self, job: Job) -> None:
        for place, (moment, machine, result) in self.tables.results.items():
            if result.job == job:
                row = (moment, machine, replace(result, outcome=DROPPED))
                self.tables.results[place] = row

    def age_gathers(self) -> None:
        for name, row in self.tables.gathers.items():
            past = row.until - timedelta(minutes=1)
            self.tables.gathers[name] = replace(row, until=past)

    def age_heartbeats(self) -> None:
        for place, (moment, problem) in self.tables.heartbeats.items():
            self.tables.heartbeats[place] = (moment - timedelta(minutes=1), problem)

    def rows(self) -> list[tuple[str, str, str | None]]:
        results = [result for _, _, result in self.tables.results.values()]
        return sorted((one.upload.key, one.outcome, one.reason) for one in results)


class LedgersInPostgres(Ledgers):
    def __init__(self, pipeline: Pipeline, connection: psycopg.Connection[dict[str, object]]):
        self._sql = pipeline.sql
        self._connection, self._stack = connection, pipeline.name
        super().__init__(partial(self._open, connection, pipeline.name))

    @staticmethod
    def _open(
        connection: psycopg.Connection[dict[str, object]], stack: str, machine: str, name: str
    ) -> Ledger:
        return PostgresLedger(connection, stack, name, machine)

    def messages(self, machine: str) -> MessageLedger:
        return PostgresMessages(self._connection, self._stack, machine)

    def age_messages(self) -> None:
        self._sql("UPDATE pipeline.messages SET created_at = created_at - interval '8 days'")

    def received(self) -> list[int]:
        rows = self._sql(
            "SELECT received FROM pipeline.camera_minutes "
            "ORDER BY camera, boot, minute, first_number"
        )
        return [row["received"] for row in rows]

    def expire_leases(self) -> None:
        self._sql("UPDATE pipeline.leases SET until = until - interval '1 minute'")

    def age_results(self) -> None:
        self._sql("UPDATE pipeline.results SET created_at = created_at - interval '2 hours'")

    def add_retry(self, old_id: str, row: RetryRow) -> None:
        parent = (row.parent.job_id, row.parent.number) if row.parent else (None, None)
        values = [old_id, row.pipeline, row.round, row.run_id, *parent, row.key, row.sha256]
        texts = ", ".join("NULL" if one is None else f"'{one}'" for one in values)
        self._sql(
            "INSERT INTO pipeline.retries (stack, job_id, pipeline, round, run_id, parent_id, "  # noqa: S608
            f"parent_number, key, sha256) SELECT stack, {texts} FROM pipeline.results "
            "LIMIT 1"
        )

    def drop(self, job: Job) -> None:
        self._sql(
            "UPDATE pipeline.results SET outcome = 'dropped', dropped_at = now() "  # noqa: S608
            f"WHERE job_id = '{job.id}'"
        )

    def age_gathers(self) -> None:
        self._sql("UPDATE pipeline.gathers SET until = until - interval '1 minute'")

    def age_heartbeats(self) -> None:
        self._sql("UPDATE pipeline.heartbeats SET last_pass = last_pass - interval '1 minute'")

    def rows(self) -> list[tuple[str, str, str | None]]:
        rows = self._sql("SELECT key, outcome, reason FROM pipeline.results ORDER BY key")
        return [(row["key"], row["outcome"], row["reason"]) for row in rows]
