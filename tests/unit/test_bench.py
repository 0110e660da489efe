"""What the bench writes and says besides figures."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import targets
from bench.document import Document
from bench.table import Table
from tests.checkout import PROJECT

HAND = "# Measurements\n\nWritten by hand, before.\n"


def test_what_is_written_by_hand_stays(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    path.write_text(HAND)
    document = Document(path)
    for text in ("first", "second \\1"):
        document.write("kernels", text)
        document.write("growth", f"{text}, grown")
    path.write_text(path.read_text() + "\nAnd after.\n")
    document.write("kernels", "third")
    told = path.read_text()
    assert told.startswith(HAND)
    assert told.endswith("\nAnd after.\n")
    assert "third" in told
    assert "second \\1, grown" in told
    assert "first" not in told
    assert told.count("kernels") == 2  # a mark on either side


def test_each_part_keeps_its_last_figures(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    for part, value in (("latency", 1.0), ("memory", 2.0), ("latency", 3.0)):
        Document(path).remember(part, {"median s": value})
    assert Document(path).figures() == {"latency": {"median s": 3.0}, "memory": {"median s": 2.0}}


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        ({"median s": 0.9, "p99 s": 3.1}, ["≤ 1 s", "0.9 s", "yes"]),
        ({"median s": 1.1, "p99 s": 2.9}, ["≤ 1 s", "1.1 s", "**no**"]),
        ({}, ["≤ 1 s", "–", "not measured: `latency`"]),
    ],
)
def test_targets_say_whether_they_are_met(figures: dict[str, float], line: Sequence[str]) -> None:
    table = targets.judge({"latency": figures})
    assert len(table.rows) == len(targets.TARGETS)
    [row] = [row for row in table.rows if row[0] == "`put` to negative, median"]
    assert list(row[1:]) == line


def test_a_table_reads_the_same_either_way() -> None:
    table = Table("Title", ["what", "s"], [["a", "1.5"], ["bcdef", "20"]])
    assert table.text() == "Title\nwhat     s\na      1.5\nbcdef   20"
    assert "| bcdef | 20 |" in table.markdown()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["speed"], "pipeline: 'speed' is not a benchmark: choose from kernels, "),
        (["--photos", "cli"], "pipeline: 'cli' has no *.jpg files: name a folder"),
    ],
)
def test_bad_input_gets_a_sentence(words: Sequence[str], sentence: str) -> None:
    command = [sys.executable, "-m", "cli", "bench", *words]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(sentence)
    assert answer.stderr.count("\n") == 1
