"""`log` and `sql`: which rows they print, in constant memory, and that `sql` changes nothing."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import patience
from tests.worker.pipeline import Pipeline

INSERT = """
INSERT INTO pipeline.results (
    created_at, stack, pipeline, job_id, run_id, transform, bucket, key, key_sha256, version_id,
    etag, last_modified, input_sha256, input_bytes, output_key, output_sha256, output_bytes,
    seconds, worker, outcome, reason, notes
)
SELECT
    timestamptz '2026-01-01Z' + n * interval '1 second', '{stack}', 'negatives', md5(n::text),
    md5(n::text), 'negate', 'input', 'photo ' || n || '.png',
    sha256(convert_to('photo ' || n || '.png', 'UTF8')), n::text, 'etag', now(),
    repeat('a', 64), 1, 'negated_photo ' || n || '.png', repeat('b', 64), 1, 0.5, 'vm-1',
    CASE WHEN n % 100 = 0 THEN 'quarantined' ELSE 'done' END, NULL, '["a note"]'
FROM generate_series(1, {count}) AS n
"""


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory,
    moto: ObjectStore,
    database: PostgreSQL,
    pipelines: type[Pipeline],
) -> Iterator[Pipeline]:
    """A ledger of 100,000 rows, one per second of 2026; every hundredth is quarantined."""
    folder = tmp_path_factory.mktemp("filled")
    with pipelines(folder, moto, database, versions=True) as made:
        made.make_tables()
        made.sql(INSERT.format(stack=made.name, count=100_000))
        yield made


def numbers(rows: list[dict[str, str]]) -> list[int]:
    return [int(row["input_key"].split()[1].removesuffix(".png")) for row in rows]


def test_log_prints_the_newest_fifty_rows_oldest_first(filled: Pipeline) -> None:
    assert numbers(filled.log()) == list(range(99_951, 100_001))
    assert filled.run("log").stdout.count("\n") == 50


def test_log_has_the_notes(filled: Pipeline) -> None:
    assert [row["notes"] for row in filled.log("--last", "2")] == [["a note"]] * 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--last", "2"), [99_999, 100_000]),
        (("--like", "photo 123."), [123]),
        (("--like", "negated_photo 7777"), [7777, *range(77_770, 77_780)]),
        (("--quarantined", "--last", "2"), [99_900, 100_000]),
        (("--since", "2026-01-02T03:46:39Z"), [99_999, 100_000]),
        (("--since", "2026-01-02 03:46:40"), [100_000]),
        (("--since", "2026-01-02T05:46:40+02:00"), [100_000]),
        (("--since", "2026-02-01"), []),
        (("--quarantined", "--like", "photo 123."), []),
    ],
)
def test_log_options(filled: Pipeline, arguments: tuple[str, ...], expected: list[int]) -> None:
    assert numbers(filled.log(*arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--last", "0"), "'0': give a whole number from 1"),
        (("--last", "many"), "'many': give a whole number from 1"),
        (("--since", "yesterday"), "'yesterday': give an ISO 8601 time such as 2026-01-31"),
    ],
)
def test_bad_log_options(filled: Pipeline, arguments: tuple[str, ...], sentence: str) -> None:
    done = filled.run("log", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


#: Runs the worker; prints the most memory that it had, in KiB, as the kernel counts it (proc(5)).
MEASURED = """
import re, sys
from pathlib import Path
from worker.__main__ import main
status = main(sys.argv[1:])
print(*re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    "command",
    [("log", "--json", "--last"), ("sql", "SELECT * FROM results LIMIT")],
    ids=["log", "sql"],
)
def test_memory_does_not_grow_with_the_rows(filled: Pipeline, command: tuple[str, ...]) -> None:
    peaks = {}
    for count in (100, 100_000):
        arguments = (
            (*command, str(count)) if command[0] == "log" else ("sql", f"{command[1]} {count}")
        )
        path = filled.folder / "printed"
        with path.open("w") as printed:
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, "--settings", str(filled.settings), *arguments],
                check=True,
                stdout=printed,
                stderr=subprocess.PIPE,
                text=True,
                env=filled.process_environment,
            )
        peaks[count] = int(done.stderr) << 10
        assert path.read_text().count("\n") == count + (command[0] == "sql")
    assert peaks[100_000] < peaks[100] + (8 << 20), peaks


def test_a_reader_that_stops_early_causes_no_traceback(filled: Pipeline) -> None:
    process = filled.popen("log", "--last", "100000")
    assert process.stdout
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    process.wait(timeout=60 * patience())


def test_sql_prints_names_and_rows(filled: Pipeline) -> None:
    query = (
        "SELECT key, 1 AS key, 2.50, NULL, now() - now() AS none FROM log_records AS l"
        " JOIN results AS r ON r.key = l.input_key ORDER BY r.id LIMIT 1;"
    )
    done = filled.run("sql", query.replace("SELECT key", "SELECT r.key"))
    assert (done.returncode, done.stderr) == (0, "")
    names, row = [json.loads(line) for line in done.stdout.splitlines()]
    assert names == ["key", "key", "?column?", "?column?", "none"]
    assert row == ["photo 1.png", 1, "2.50", None, "0:00:00"]


def test_sql_writes_csv(filled: Pipeline) -> None:
    done = filled.run("sql", "--csv", """VALUES ('a "b", c', 1), (E'two\\nlines', NULL)""")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(csv.reader(io.StringIO(done.stdout))) == [
        ["column1", "column2"],
        ['a "b", c', "1"],
        ["two\nlines", ""],
    ]


REFUSED = {
    "DELETE FROM results": "syntax error",
    "DROP TABLE results": "syntax error",
    "SELECT 1; DELETE FROM results": "multiple commands",
    "WITH d AS (DELETE FROM results RETURNING 1) SELECT * FROM d": "data-modifying",
    "SELECT set_config('transaction_read_only', 'off', true)": "read-write mode",
    "SELECT * FROM migrations": "permission denied",
    "SELECT pg_read_file('/etc/passwd')": "permission denied",
    "SELECT * FROM results FOR UPDATE": "FOR UPDATE",
    "SELECT nothing": "does not exist",
    "": "syntax error",
    "SELECT '\udc80'": "not UTF-8",
}


def test_sql_names_what_can_be_queried(filled: Pipeline) -> None:
    done = filled.run("sql", "SELECT * FROM answers")
    assert done.returncode == 1, done.stdout
    assert done.stderr == (
        'The query was refused (relation "answers" does not exist): there are results, outputs, '
        "records and the views log_records, negate. A transform's view of its records comes with "
        "its first pipeline.\n"
    )


@pytest.mark.parametrize("query", REFUSED)
def test_sql_refuses_in_one_sentence(filled: Pipeline, query: str) -> None:
    done = filled.run("sql", query)
    assert done.returncode == 1, done.stdout
    assert REFUSED[query] in done.stderr
    assert done.stderr.endswith("write one SELECT, WITH, VALUES or TABLE query.\n")
    assert done.stderr.count("\n") == 1
    (row,) = filled.sql("SELECT count(*) AS rows FROM pipeline.results")
    assert row == {"rows": 100_000}
