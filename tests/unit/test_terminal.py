"""Output on a narrow, a plain and an old terminal, and text that comes from outside."""

import json
import os
import re
import subprocess
import sys

import pytest

from cli.errors import CommandError
from cli.results import print_results
from cli.terminal import print_progress, print_result, print_table
from tests.checkout import PROJECT

_LONG = f"""
import time
from cli.terminal import spinner
with spinner("Deploying") as screen:
    screen.show("Deploying: {"one more resource, " * 20}")
    time.sleep(0.3)
"""


def python(*words: str, **environment: str) -> str:
    """Return what a Python with the checkout's modules prints; fail the test where it fails."""
    answer = subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    shown = answer.stdout.decode("utf-8", "replace")
    assert answer.returncode == 0, shown
    return shown


def test_the_moving_line_is_one_line_on_a_narrow_terminal() -> None:
    shown = python("-c", _LONG, FORCE_COLOR="1", TERM="xterm", COLUMNS="50")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown))
    assert any("Deploying: one more" in line for line in lines), shown
    assert max(map(len, lines)) <= 50


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_our_characters_is_no_failure(encoding: str) -> None:
    code = (
        "from cli.terminal import print_result, print_progress; "
        "print_result('send PHOTO…'); print_progress('Wait …')"
    )
    shown = python("-c", code, PYTHONIOENCODING=encoding)
    assert "send PHOTO" in shown
    assert "Wait " in shown


def test_the_list_of_commands_fits_a_terminal() -> None:
    shown = python("-m", "cli", "--help", COLUMNS="80")
    assert "demo" in shown
    assert "..." not in shown.split("Commands:")[1]


def test_a_closed_output_is_no_failure() -> None:
    answer = subprocess.run(
        ["sh", "-c", 'exec "$0" -m cli --help >&-', sys.executable],
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (answer.stderr, answer.returncode) == ("", 0)


#: What a key, a reason or a log may hold, and how it is shown.
OUTSIDE = {
    "a[/mask]/x.jpg": "a[/mask]/x.jpg",
    "photo [edited].jpg": "photo [edited].jpg",
    ":cat:.jpg": ":cat:.jpg",
    "[bold]x[/bold] [red]y": "[bold]x[/bold] [red]y",
    "[link=https://example.org]x": "[link=https://example.org]x",
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",
    "a\rb": r"a\rb",
    "a\tb\x00": r"a\tb\x00",
    "gpj.\u202etac": r"gpj.\u202etac",
    "\u2066x\u2069": r"\u2066x\u2069",
    "line\u2028line": r"line\u2028line",
    "caf\udce9.jpg": r"caf\xe9.jpg",
    "naïve 猫 🐈 👩‍👧.jpg": "naïve 猫 🐈 👩‍👧.jpg",
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_text_from_outside_is_printed_as_it_is(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    print_result(name)
    print_table([(name, "end")])
    print_progress(name)
    CommandError(f"'{name}' is refused.").show()
    shown = capfd.readouterr()
    assert shown.out == f"{OUTSIDE[name]}\n{OUTSIDE[name]}  end\n"
    assert shown.err == f"{OUTSIDE[name]}\npipeline: '{OUTSIDE[name]}' is refused.\n"


def test_a_cell_with_a_line_end_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    print_table([("a\nforged  row.jpg", "1")])
    assert capfd.readouterr().out == "a\\nforged  row.jpg  1\n"


def test_piped_output_is_never_wrapped() -> None:
    code = (
        "from cli.terminal import print_progress, print_result, print_table; "
        "print_table([('x ' * 200, 'end')], ('name', 'sum')); print_result('y ' * 200); "
        "print_progress('z ' * 200)"
    )
    shown = python("-c", code, COLUMNS="40")
    assert [len(line) > 390 for line in shown.splitlines()] == [True] * 4


def test_columns_are_aligned_by_what_a_terminal_shows(capfd: pytest.CaptureFixture[str]) -> None:
    print_table([("猫.jpg", "1.5"), ("e\u0301.jpg", "10.25")], ("name", "seconds"), right={1})
    assert capfd.readouterr().out == "name    seconds\n猫.jpg      1.5\ne\u0301.jpg     10.25\n"


def test_results_have_a_column_of_notes_if_there_are_any(capfd: pytest.CaptureFixture[str]) -> None:
    row = {"outcome": "done", "output_key": "x", "output_sha256": "0" * 64, "seconds": 1.5}
    row |= {"timestamp": "2026-11-28T00:00:00Z", "pipeline": "p", "notes": []}
    print_results([row])
    print_results([row, {**row, "pipeline": "q", "notes": ["lossy", "dropped XMP"]}])
    without, _, heading, first, second = capfd.readouterr().out.splitlines()
    assert without.split() == ["name", "sha256", "time", "seconds"]
    assert heading.split() == ["pipeline", "name", "sha256", "time", "seconds", "notes"]
    assert first.endswith("1.500")
    assert second.endswith("1.500  lossy; dropped XMP")


def test_reason_of_a_refused_file_is_last_and_widens_no_other_row(
    capfd: pytest.CaptureFixture[str],
) -> None:
    row = {"outcome": "done", "output_key": "x", "output_sha256": "0" * 64, "seconds": 1.5}
    row |= {"timestamp": "2026-11-28T00:00:00Z", "pipeline": "p", "notes": []}
    reason = "it has more pixels than the limit: reduce it"
    refused = row | {"outcome": "quarantined", "input_key": "y", "reason": reason}
    refused |= {"output_key": None, "output_sha256": None}
    print_results([refused, row])
    print_results([refused, {**row, "notes": ["lossy"]}])
    heading, first, second, both, *_ = capfd.readouterr().out.splitlines()
    assert heading.split() == ["name", "sha256", "time", "seconds", "reason"]
    assert first.split(maxsplit=4) == ["y", "(refused)", row["timestamp"], "1.500", reason]
    assert len(second) == first.index(reason) - 2
    assert both.endswith("  notes or reason")


def test_a_reason_after_many_rows_without_one_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    row = {"outcome": "done", "output_key": "x", "output_sha256": "0" * 64, "seconds": 1.5}
    row |= {"timestamp": "2026-11-28T00:00:00Z"}
    refused = {**row, "outcome": "quarantined", "input_key": "y", "reason": "damaged"}
    print_results([*[row] * 2000, refused])
    assert capfd.readouterr().out.splitlines()[-1].endswith("1.500  damaged")


_ROWS = """
import json, resource, sys
from cli.results import print_results
row = {"outcome": "done", "output_key": "x" * 50, "output_sha256": "0" * 64,
       "timestamp": "2026-11-28T00:00:00Z", "seconds": 1.5}
print_results(row for _ in range(int(sys.argv[1])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_a_table_of_100000_rows_takes_no_more_memory_than_one_of_100() -> None:
    few, many = (
        subprocess.run(
            [sys.executable, "-c", _ROWS, count], cwd=PROJECT, capture_output=True, check=True
        )
        for count in ("100", "100000")
    )
    assert many.stdout.count(b"\n") == 100_001
    assert int(many.stderr) - int(few.stderr) < 4096  # KiB


@pytest.mark.parametrize("name", ["status", "log", "jobs", "put", "get", "keys", "sql", "outputs"])
def test_commands_import_no_large_packages(name: str) -> None:
    """They would double the time of a command that only reads."""
    code = (
        f"import json, sys, cli.commands.{name}, cli.stacks.local_stack, cli.stacks.cloud_stack; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    imported = set(json.loads(python("-c", code)))
    large = {"pulumi", "grpc", "boto3", "botocore", "rich", "openstack", "PIL", "psycopg"}
    assert imported.isdisjoint(large)
