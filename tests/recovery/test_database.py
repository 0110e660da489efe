"""The database is gone, or was restored from a backup: what it does not know is found again."""

import psycopg

from tests.eventually import eventually
from tests.worker.jobs import PNG, changed, listed
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

SMALL = encode(picture(2, (4, 4)), "PNG")  # below the limit of `process`, which PNG is above


def process(pipeline: Pipeline, **uploads: bytes) -> None:
    """Make a pass with a limit of 383 pixels."""
    for name, body in uploads.items():
        pipeline.put(f"{name}.png", body)
    pipeline.configure(limits={"pixels": 383})
    pipeline.drain()
    pipeline.configure()


def identifier(pipeline: Pipeline, key: str) -> str:
    """Return the id of the quarantined job on a key."""
    rows = listed(pipeline, "--state", "quarantined")
    (found,) = (row["id"] for row in rows if row["key"] == key)
    return str(found)


def rebuild(pipeline: Pipeline) -> str:
    done = pipeline.run("rebuild-log")
    assert done.returncode == 0, done.stderr
    return done.stdout


def outcomes(pipeline: Pipeline) -> list[tuple[str, int, str]]:
    return sorted((row["key"], row["round"], row["outcome"]) for row in pipeline.rows())


class Backup:
    """A copy of the database, on the same server."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._copy = pipeline, f"{pipeline.database}-backup"
        self._run(f'CREATE DATABASE "{self._copy}" TEMPLATE "{pipeline.database}"')

    def restore(self) -> None:
        """Replace the database by the copy."""
        name = self._pipeline.database
        self._run(f'DROP DATABASE "{name}"', f'ALTER DATABASE "{self._copy}" RENAME TO "{name}"')

    def _run(self, *statements: str) -> None:
        sessions = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND usename IS NOT NULL"
        with psycopg.connect(self._pipeline.server.dsn("postgres"), autocommit=True) as connection:
            # Those of processes that have ended: PostgreSQL waits for them for 5 s only.
            names = [self._pipeline.database]
            eventually(lambda: not connection.execute(sessions, names).fetchall())
            for one in statements:
                connection.execute(one.encode())


def test_the_database_is_gone(versioned: Pipeline) -> None:
    process(versioned, good=SMALL, bad=PNG, again=PNG + b"\0")
    assert changed(versioned, "retry", identifier(versioned, "again.png")) == [None]
    versioned.drain()
    versioned.sql("DROP SCHEMA pipeline CASCADE")
    versioned.migrate()
    process(versioned, later=SMALL)  # the worker does not wait for the log
    expected = [
        ("again.png", 1, "done"),  # its quarantined copy, and so its first row, is gone
        ("bad.png", 0, "quarantined"),
        ("good.png", 0, "done"),
        ("later.png", 0, "done"),
    ]
    for _ in range(2):
        rebuild(versioned)
        assert outcomes(versioned) == expected
    assert changed(versioned, "retry", identifier(versioned, "bad.png")) == [None]
    versioned.drain()
    assert outcomes(versioned)[2] == ("bad.png", 1, "done")


def test_the_database_was_restored(versioned: Pipeline) -> None:
    process(versioned, done=SMALL, retried=PNG, dropped=PNG, back=PNG)
    retried, dropped, back = (
        identifier(versioned, f"{name}.png") for name in ("retried", "dropped", "back")
    )
    backup = Backup(versioned)
    assert changed(versioned, "retry", retried) == [None]
    versioned.drain()
    assert changed(versioned, "drop", dropped) == [None]
    process(versioned, new_done=SMALL, new_bad=PNG)
    assert changed(versioned, "retry", back) == [None]
    versioned.put("waits.png", SMALL)
    before = outcomes(versioned)
    backup.restore()
    assert dropped in rebuild(versioned)
    versioned.drain()
    lost = ("dropped.png", 0, "dropped")
    assert lost in before
    assert outcomes(versioned) == sorted(
        [
            *(row for row in before if row != lost),
            ("dropped.png", 0, "quarantined"),
            ("back.png", 1, "done"),
            ("waits.png", 0, "done"),
        ]
    )
    assert versioned.left() == []
    assert changed(versioned, "drop", dropped) == [None]
    # Of what was quarantined, only this is left: the file and its note.
    assert {"new_bad.png" in key for key in versioned.keys(versioned.quarantine)} == {True}
