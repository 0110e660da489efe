"""The schema, its two roles and their rights."""

from datetime import UTC, datetime

import psycopg
import pytest

from tests.eventually import patience
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.results import quarantined, record
from worker import settings
from worker.ledger.connection import connect_worker
from worker.ledger.postgres_ledger import PostgresLedger
from worker.uploads.upload import Upload

FORBIDDEN = [
    "CREATE TABLE pipeline.mine (id int)",
    "CREATE TABLE public.mine (id int)",
    "CREATE SCHEMA mine",
    "DROP TABLE pipeline.results",
    "DROP VIEW pipeline.log_records",
    "ALTER TABLE pipeline.results ADD COLUMN mine int",
    "TRUNCATE pipeline.results",
    "SELECT * FROM pipeline.migrations",
    "DELETE FROM pipeline.log_records",
    "CREATE ROLE mine",
    "DROP SCHEMA pipeline CASCADE",
    "SELECT * FROM pipeline.queue_migrations",
    "TRUNCATE pipeline.procrastinate_jobs",
    "ALTER TABLE pipeline.procrastinate_jobs DROP COLUMN args",
    "ALTER FUNCTION pipeline.procrastinate_register_worker_v1() RENAME TO mine",
    "DROP TRIGGER procrastinate_trigger_delete_jobs_v1 ON pipeline.procrastinate_jobs",
    "SELECT * FROM pipeline.procrastinate_events",
    "DELETE FROM pipeline.procrastinate_periodic_defers",
]


def test_the_worker_role_has_no_further_rights(versioned: Pipeline) -> None:
    tables = ("results", "outputs", "records", "prepared_results", "attempts", "leases", "retries")
    for table in (*tables, "heartbeats"):
        for statement in ("TABLE", "DELETE FROM"):
            versioned.sql(f"{statement} pipeline.{table}", user=versioned.user)
    for view in ("log_records", "negate"):
        versioned.sql(f"TABLE pipeline.{view}", user=versioned.user)
    for statement in FORBIDDEN:
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)
        ):
            versioned.sql(statement, user=versioned.user)


def test_migrating_again_changes_nothing(versioned: Pipeline) -> None:
    versioned.put("x.png", encode(picture(), "PNG"))
    versioned.drain()
    before = versioned.rows(), versioned.sql("SELECT * FROM pipeline.migrations")
    done = versioned.run("migrate")
    assert (done.returncode, done.stdout) == (0, "")
    assert (versioned.rows(), versioned.sql("SELECT * FROM pipeline.migrations")) == before


def test_concurrent_migrations(idle: Pipeline) -> None:
    processes = [idle.popen("migrate") for _ in range(4)]
    ends = [process.communicate(timeout=300 * patience()) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], ends
    assert sorted(out for out, _ in ends)[:3] == ["", "", ""]
    assert sorted(out for out, _ in ends)[3].startswith("applied 001_results\napplied 002_")


def test_migrating_with_the_rights_that_trove_grants(idle: Pipeline) -> None:
    """Trove grants ALL on a database that belongs to `postgres`."""
    (owner,) = idle.sql(
        "SELECT pg_get_userbyid(datdba) AS name FROM pg_database WHERE datname = current_database()"
    )
    assert owner["name"] == "postgres"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        idle.sql("CREATE ROLE mine", user=idle.admin)
    idle.migrate()
    (schema,) = idle.sql(
        "SELECT pg_get_userbyid(nspowner) AS name FROM pg_namespace WHERE nspname = 'pipeline'"
    )
    assert schema["name"] == idle.admin


def test_keys_are_never_executed_as_sql(versioned: Pipeline) -> None:
    """The tutorial concatenated its SQL."""
    key = "x'); DROP TABLE pipeline.results; --.png"
    versioned.put(key, encode(picture(), "PNG"))
    versioned.drain()
    assert [row["key"] for row in versioned.rows()] == [key]
    assert versioned.run("log", "--like", "'); DROP").stdout.count("\n") == 1


def test_many_results_in_one_second_do_not_collide(versioned: Pipeline) -> None:
    """The tutorial's primary key was a time in whole seconds."""
    for number in range(20):
        versioned.put(f"{number}.png", encode(picture(number), "PNG"))
    versioned.drain()
    stamps = versioned.sql('SELECT "timestamp" FROM log_records', user=versioned.admin)
    assert len(stamps) == 20
    assert len({row["timestamp"] for row in stamps}) < 20


def test_text_that_postgresql_cannot_store_is_replaced(versioned: Pipeline) -> None:
    """A key or a reason may contain NUL or a lone surrogate."""
    loaded = settings.load(versioned.settings, {}, ())
    upload = Upload(versioned.input, "a\0b.png", "v1", "e", datetime(2026, 1, 2, tzinfo=UTC))
    with connect_worker(loaded) as connection:
        ledger = PostgresLedger(connection, versioned.name, "negatives", "vm-1")
        record(ledger, quarantined(upload, "odd \0 and \udc80"))
        ledger.uncount_crash(upload)
        ledger.heartbeat("a problem \0")
    (row,) = versioned.rows()
    assert (row["key"], row["reason"]) == ("a\ufffdb.png", "odd \ufffd and ?")
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []
