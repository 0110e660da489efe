"""Databases of earlier releases keep their rows, and get what this release needs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager
from psycopg.rows import dict_row

from tests.worker.dispatch import dispatched
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from worker import settings, transforms
from worker.ledger.connection import connect_worker
from worker.ledger.migrations import migrate, records_view
from worker.ledger.postgres_ledger import SQL_FOLDER, PostgresLedger
from worker.transforms import PICTURE, Description
from worker.uploads.job import job_id
from worker.uploads.upload import Upload

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEYS = ["cat.png", "naïve 猫 🐈.png", "k" * 1024, 'quote\'s "double".png', "back\\slash\\x00.png"]


def first_release(pipeline: Pipeline) -> None:
    """Create the tables as the first release did, with rows, attempts and a heartbeat."""
    dsn = pipeline.server.dsn(pipeline.database, pipeline.admin, pipeline.admin_password)
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
        connection.execute((SQL_FOLDER / "create_schema.sql").read_bytes())
        connection.execute((SQL_FOLDER / "migrations" / "001_results.sql").read_bytes())
        connection.execute("INSERT INTO pipeline.migrations VALUES (1, '001_results')")
        for number, key in enumerate(KEYS):
            identity = (pipeline.name, pipeline.input, key, f"v{number}", "e", MOMENT)
            done = (f"negated_{number}", "b" * 64, 8) if number else (None, None, None)
            end = (*done, 0.5, "vm-0", "done" if number else "quarantined", None if number else "x")
            connection.execute(
                "INSERT INTO pipeline.results (pipeline, bucket, key, version_id, etag, "
                "last_modified, input_sha256, input_bytes, output_key, output_sha256, "
                "output_bytes, seconds, worker, outcome, reason) "
                "VALUES (%s, %s, %s, %s, %s, %s, 'a', 7, %s, %s, %s, %s, %s, %s, %s)",
                (*identity, *end),
            )
        connection.execute(
            "INSERT INTO pipeline.attempts VALUES (%s, %s, 'crashing.png', '', 'e', %s, 2, 'vm-0')",
            (pipeline.name, pipeline.input, MOMENT),
        )
        connection.execute(
            "INSERT INTO pipeline.heartbeats VALUES (%s, 'vm-0', %s, 'a problem', 'a problem', %s)",
            (pipeline.name, MOMENT, MOMENT),
        )


def test_a_database_of_the_first_release(idle: Pipeline) -> None:
    first_release(idle)
    done = idle.run("migrate")
    assert done.returncode == 0
    assert done.stdout.startswith("applied 002_pipelines\n")
    rows = idle.rows()
    assert [row["key"] for row in rows] == KEYS
    for number, row in enumerate(rows):
        upload = Upload(idle.input, KEYS[number], f"v{number}", "e", MOMENT)
        assert row["job_id"] == row["run_id"] == job_id("negatives", upload)
        assert (row["stack"], row["pipeline"], row["transform"], row["round"]) == (
            idle.name,
            "negatives",
            "negate",
            0,
        )
    outputs = idle.sql("SELECT * FROM pipeline.outputs ORDER BY key")
    assert [one["key"] for one in outputs] == [f"negated_{n}" for n in range(1, len(KEYS))]
    assert [one["job_id"] for one in outputs] == [row["job_id"] for row in rows[1:]]
    assert {(one["number"], one["bucket"], one["bytes"]) for one in outputs} == {(1, "", 8)}
    attempt = Upload(idle.input, "crashing.png", "", "e", MOMENT)
    (found,) = idle.sql("SELECT * FROM pipeline.attempts")
    assert (found["job_id"], found["crashes"]) == (job_id("negatives", attempt), 2)
    (heartbeat,) = idle.sql("SELECT * FROM pipeline.heartbeats")
    assert (heartbeat["pipeline"], heartbeat["last_error"]) == ("negatives", "a problem")
    view = idle.sql("SELECT * FROM log_records", user=idle.admin)
    assert list(view[0])[:4] == [
        "timestamp",
        "negated_image_name",
        "negated_image_hash",
        "pipeline",
    ]
    assert {row["pipeline"] for row in view} == {"negatives"}
    assert len(view) == len(KEYS) - 1


def release_before_dispatch(pipeline: Pipeline) -> None:
    """Create the tables of the last release that had no queue."""
    scripts = sorted((SQL_FOLDER / "migrations").glob("00[1-5]_*.sql"))
    dsn = pipeline.server.dsn(pipeline.database, pipeline.admin, pipeline.admin_password)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA pipeline; CREATE TABLE pipeline.migrations (version integer PRIMARY KEY,"
            " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for number, script in enumerate(scripts, 1):
            connection.execute(script.read_bytes())
            row = (number, script.stem)
            connection.execute("INSERT INTO pipeline.migrations VALUES (%s, %s)", row)
        connection.execute(
            "INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass) "
            "VALUES (%s, 'negatives', 'vm-0', now())",
            (pipeline.name,),
        )


def test_a_database_without_a_queue(idle: Pipeline) -> None:
    release_before_dispatch(idle)
    done = idle.run("migrate")
    assert done.stdout.split() == ["applied", "006_machine_load", "applied", "007_dispatch"]
    assert dispatched(idle) == "a.png"
    with connect_worker(settings.load(idle.settings, {}, ())) as connection:
        ledger = PostgresLedger(connection, idle.name, "negatives", "vm-1")
        ledger.heartbeat(None, is_live=True)
        assert ledger.live_machines() == ["vm-1"]


FUNCTIONS = (
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'pipeline'::regnamespace "
    "ORDER BY proname"
)


def test_a_database_of_an_earlier_procrastinate(idle: Pipeline) -> None:
    """Its migrations are applied one after another; its schema, once."""
    idle.migrate()
    fresh = idle.sql(FUNCTIONS)
    assert len(fresh) > 10
    idle.sql("DROP SCHEMA pipeline CASCADE")
    scripts = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    earlier = [one for one in scripts if one.name < "03.04"]
    dsn = idle.server.dsn(idle.database, idle.admin, idle.admin_password)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((SQL_FOLDER / "create_schema.sql").read_bytes())
        for one in earlier:
            connection.execute(one.read_bytes())
            insert = "INSERT INTO pipeline.queue_migrations VALUES (%s)"
            connection.execute(insert, (one.stem,))
    done = idle.run("migrate")
    later = [one.stem for one in scripts[len(earlier) :]]
    assert later
    assert done.stdout.splitlines()[-len(later) :] == [f"applied {name}" for name in later]
    assert {row["proname"] for row in idle.sql(FUNCTIONS)} >= {row["proname"] for row in fresh}
    assert idle.run("migrate").stdout == ""
    assert dispatched(idle) == "a.png"


def test_the_worker_continues_after_a_migration(idle: Pipeline) -> None:
    first_release(idle)
    idle.put("new.png", encode(picture(), "PNG"))
    idle.migrate()
    idle.drain()
    assert [row["key"] for row in idle.rows()] == [*KEYS, "new.png"]
    assert idle.sql("SELECT * FROM pipeline.attempts") == []  # nobody lists that upload
    assert idle.sql("SELECT * FROM pipeline.leases") == []


def test_views_of_records_have_names_that_sql_accepts() -> None:
    assert records_view("negate") == "negate"
    assert records_view("Package.module:function") == "records_package_module_function"
    first, second = (records_view(f"{'long_' * 12}module:{name}") for name in ("one", "two"))
    assert first != second
    assert (len(first), first[:17]) == (63, "records_long_long")


def test_declared_columns_are_columns_of_the_view(idle: Pipeline) -> None:
    idle.migrate()
    idle.put("one.png", encode(picture(), "PNG"))
    idle.drain()
    (row,) = idle.rows()
    records = [
        {"answer": "a\u00e9", "score": 0.5, "end": 3, "sure": True, "more": [1]},
        {"answer": {"deep": 1}, "score": "high", "end": 10**30, "sure": "yes", "result": "1"},
        {"result": 1},
    ]
    for number, record in enumerate(records, 1):
        idle.sql(
            "INSERT INTO pipeline.records (job_id, number, data) VALUES"  # noqa: S608
            f" ('{row['job_id']}', {number}, '{json.dumps(record)}')"
        )
    columns = {"answer": "text", "score": "double precision", "end": "bigint", "sure": "boolean"}
    create_views(idle, {"more": "jsonb"})  # an earlier worker's
    create_views(idle, columns)
    found = idle.sql("SELECT * FROM pipeline.negate ORDER BY number", user=idle.user)
    first = ["pipeline", "created_at", "key", "run_id", "job_id", "number"]
    assert list(found[0]) == [*first, *columns, "result_key", "data"]
    assert [one["data"] for one in found] == records
    assert [[one[name] for name in columns] for one in found] == [
        ["a\u00e9", 0.5, 3, True],
        ['{"deep": 1}', None, None, None],
        [None, None, None, None],
    ]
    assert [one["result_key"] for one in found] == [None, None, row["output_key"]]
    assert {(one["pipeline"], one["key"]) for one in found} == {(row["pipeline"], "one.png")}


def create_views(pipeline: Pipeline, columns: Mapping[str, str]) -> None:
    """Migrate as a worker whose transform declares other columns."""
    dsn = pipeline.server.dsn(pipeline.database, pipeline.admin, pipeline.admin_password)
    described = Description("negate", "", PICTURE, columns=columns)
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
        migrate(connection, pipeline.user, [described])


def test_every_transform_declares_columns_that_its_view_can_have(idle: Pipeline) -> None:
    dsn = idle.server.dsn(idle.database, idle.admin, idle.admin_password)
    described = [transforms.describe(name) for name in (*transforms.names(), "a.b:c", "a_b:c")]
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
        migrate(connection, idle.user, described)
        migrate(connection, idle.user, described)
    for name in (*transforms.names(), "records_a_b_c"):
        assert idle.sql(f"TABLE pipeline.{name}", user=idle.user) == []


def search_path(pipeline: Pipeline, database: str) -> str:
    """Return the search path of the admin's sessions in a database."""
    dsn = pipeline.server.dsn(database, pipeline.admin, pipeline.admin_password)
    with psycopg.connect(dsn) as connection:
        (path,) = connection.execute("SHOW search_path").fetchone() or ("",)
    return str(path)


def test_other_databases_of_the_server_keep_their_search_path(idle: Pipeline) -> None:
    idle.sql(f'ALTER ROLE "{idle.admin}" SET search_path = reports')
    idle.migrate()
    assert search_path(idle, idle.database) == "pipeline, public"
    assert search_path(idle, "postgres") == "reports"


def test_search_path_that_earlier_releases_set_everywhere_is_reset(idle: Pipeline) -> None:
    idle.sql(f'ALTER ROLE "{idle.admin}" SET search_path = pipeline, public')
    first_release(idle)
    idle.migrate()
    assert search_path(idle, idle.database) == "pipeline, public"
    assert search_path(idle, "postgres") == '"$user", public'
