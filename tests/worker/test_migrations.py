"""Migration 002: a database of an earlier release keeps its rows and attempts."""

from datetime import UTC, datetime

import psycopg
from psycopg.rows import dict_row

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from worker.ledger.migrations import records_view
from worker.ledger.postgres_ledger import SQL_FOLDER
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
    assert (done.returncode, done.stdout) == (0, "applied 002_pipelines\n")
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


def test_the_worker_continues_after_a_migration(idle: Pipeline) -> None:
    first_release(idle)
    idle.put("new.png", encode(picture(), "PNG"))
    idle.migrate()
    idle.drain()
    assert [row["key"] for row in idle.rows()] == [*KEYS, "new.png"]
    assert idle.sql("SELECT * FROM pipeline.attempts") == []  # nobody lists that upload
    assert idle.sql("SELECT * FROM pipeline.leases") == []


def test_views_of_records_have_names_that_sql_accepts() -> None:
    assert records_view("negate") == "records_negate"
    assert records_view("Package.module:function") == "records_package_module_function"


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
