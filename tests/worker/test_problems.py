"""Problems that end a pass: one sentence, exit status 1, nothing changed; then it recovers."""

import json
import socket
from collections.abc import Callable

import pytest

from local import postgres
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

PHOTO = encode(picture(), "PNG")


def _wrong_secret(pipeline: Pipeline, name: str) -> None:
    (pipeline.folder / "credentials" / name).write_text("wrong")


def _without_bucket(pipeline: Pipeline, bucket: str) -> None:
    pipeline.s3.delete_bucket(Bucket=bucket)


PROBLEMS: dict[str, tuple[Callable[[Pipeline], object], str]] = {
    "no store": (
        lambda p: p.configure(store={"endpoint": "http://127.0.0.1:9"}),
        "did not respond (Connection refused): check that the endpoint is right and running",
    ),
    "no input bucket": (
        lambda p: p.configure(pipeline={"input": "nobody-s-bucket"}),
        "The bucket 'nobody-s-bucket' at",
    ),
    "no output bucket": (lambda p: _without_bucket(p, p.output), "-output' at"),
    "no quarantine bucket": (lambda p: _without_bucket(p, p.quarantine), "-quarantine' at"),
    "no database server": (
        lambda p: p.configure(database={"port": 9}),
        "The connection to the database",
    ),
    "no database": (lambda p: p.configure(database={"name": "nothing"}), "does not exist"),
    "wrong password": (
        lambda p: _wrong_secret(p, "database-password"),
        "password authentication failed",
    ),
    "not migrated": (
        lambda p: p.sql("DROP SCHEMA pipeline CASCADE"),
        "run `python -m worker migrate`",
    ),
    "no state folder": (
        lambda p: (p.folder / "state").write_text("a file"),
        "The state folder",
    ),
}
REPAIRS: dict[str, Callable[[Pipeline], object]] = {
    "no output bucket": lambda p: p.s3.create_bucket(Bucket=p.output),
    "no quarantine bucket": lambda p: p.s3.create_bucket(Bucket=p.quarantine),
    "no state folder": lambda p: (p.folder / "state").unlink(),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_is_one_sentence_and_changes_nothing(versioned: Pipeline, name: str) -> None:
    cause, words = PROBLEMS[name]
    versioned.put("x.png", PHOTO)
    cause(versioned)
    done = versioned.drain(3 if name == "not migrated" else 1)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    for secret in (versioned.password, versioned.store.secret_key):
        assert secret not in done.stdout + done.stderr
    assert versioned.left() == ["x.png"]
    if name in REPAIRS:
        REPAIRS[name](versioned)
    versioned.configure()
    versioned.make_tables()
    assert versioned.rows() == []
    versioned.drain()
    assert versioned.left() == []
    assert len(versioned.rows()) == 1


def test_status_reports_the_problem(versioned: Pipeline) -> None:
    versioned.put("x.png", PHOTO)
    _without_bucket(versioned, versioned.output)
    versioned.drain(1)
    status = json.loads(versioned.run("status", "--json").stdout)
    assert "does not exist" in status["machines"][0]["obstacle"]
    assert status["last_error"] == status["machines"][0]["obstacle"]
    assert (status["backlog"]["count"], status["backlog"]["bytes"]) == (1, len(PHOTO))
    assert status["backlog"]["oldest"].endswith("Z")
    assert "problem: The bucket" in versioned.run("status").stdout
    versioned.s3.create_bucket(Bucket=versioned.output)
    versioned.drain()
    status = json.loads(versioned.run("status", "--json").stdout)
    assert status["machines"][0]["obstacle"] is None
    assert "does not exist" in status["last_error"]


@pytest.mark.parametrize("words", [["status"], ["jobs", "list"]])
def test_commands_do_not_wait_long_for_a_store_that_hangs(
    versioned: Pipeline, words: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it accepts and never answers
        versioned.configure(store={"endpoint": f"http://127.0.0.1:{deaf.getsockname()[1]}"})
        done = versioned.run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "did not respond (nothing came for 5 s): check that the endpoint" in done.stderr


@pytest.mark.parametrize(
    "words", [["log"], ["status"], ["jobs", "list"], ["results", "x"], ["sql", "TABLE results"]]
)
def test_commands_report_tables_that_are_missing(versioned: Pipeline, words: list[str]) -> None:
    versioned.sql("DROP SCHEMA pipeline CASCADE")
    expected = (3, "", "The database has no pipeline tables yet: run `python -m worker migrate`.\n")
    done = versioned.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == expected
    versioned.make_tables()
    versioned.sql(f'REVOKE ALL ON SCHEMA pipeline FROM "{versioned.user}"')  # comes last
    done = versioned.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.parametrize("command", ["log", "status", "migrate", "sql"])
def test_commands_report_a_missing_database(versioned: Pipeline, command: str) -> None:
    versioned.configure(database={"port": 9})
    done = versioned.run(command, *(["select 1"] if command == "sql" else []))
    assert done.returncode == 1
    assert done.stderr.startswith("The connection to the database ")
    assert done.stderr.count("\n") == 1


def test_a_full_disk(versioned: Pipeline) -> None:
    """A limit on the size of files (RLIMIT_FSIZE) simulates it."""
    versioned.put("x.png", encode(picture(1, (600, 600)), "BMP"))
    versioned.put("y.png", PHOTO)
    versioned.largest_file = 100_000
    done = versioned.drain(1)
    assert "The state folder cannot be used: File too large" in done.stderr
    assert "x.png" in versioned.left()
    versioned.largest_file = None
    versioned.drain()
    assert versioned.left() == []
    assert {row["outcome"] for row in versioned.rows()} == {"done"}


def test_an_input_without_a_row_is_kept(versioned: Pipeline) -> None:
    """The tutorial's script deleted the input even if the row could not be written."""
    versioned.put("x.png", PHOTO)
    revoke = f'REVOKE INSERT ON pipeline.results FROM "{versioned.user}"'
    versioned.sql(revoke)
    assert "permission denied" in versioned.drain(1).stderr
    assert versioned.left() == ["x.png"]
    versioned.make_tables()
    versioned.drain()
    assert versioned.left() == []
    assert len(versioned.rows()) == 1


def test_a_changed_database_password(versioned: Pipeline) -> None:
    versioned.password = "new"
    postgres.change_password(versioned.server, versioned.user, "new")
    versioned.drain(1)
    versioned.configure()
    versioned.drain()
