"""What `./pipeline bench` writes besides figures."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import capacity, targets
from bench.measurements import Measurements
from bench.table import Table
from tests.checkout import PROJECT

HAND = "# Measurements\n\nWritten by hand, before.\n"


def test_hand_written_text_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    path.write_text(HAND)
    document = Measurements(path)
    for text in ("first", "second \\1"):
        document.write("kernels", text)
        document.write("growth", f"{text}, grown")
    path.write_text(path.read_text() + "\nAnd after.\n")
    document.write("kernels", "third")
    written = path.read_text()
    assert written.startswith(HAND)
    assert written.endswith("\nAnd after.\n")
    assert "third" in written
    assert "second \\1, grown" in written
    assert "first" not in written
    assert written.count("kernels") == 2  # a marker on either side


def test_each_benchmark_keeps_its_last_figures(tmp_path: Path) -> None:
    path = tmp_path / "measurements.md"
    for name, value in (("latency", 1.0), ("memory", 2.0), ("latency", 3.0)):
        Measurements(path).remember(name, {"median s": value})
    assert Measurements(path).figures() == {
        "latency": {"median s": 3.0},
        "memory": {"median s": 2.0},
    }


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        ({"median s": 0.9, "p99 s": 3.1}, ["≤ 1 s", "0.9 s", "yes"]),
        ({"median s": 1.1, "p99 s": 2.9}, ["≤ 1 s", "1.1 s", "**no**"]),
        ({}, ["≤ 1 s", "–", "not measured: `latency`"]),
    ],
)
def test_targets_are_compared_with_figures(figures: dict[str, float], line: Sequence[str]) -> None:
    table = targets.evaluate({"latency": figures})
    assert len(table.rows) == len(targets.TARGETS)
    [row] = [row for row in table.rows if row[0] == "`put` to negative, median"]
    assert list(row[1:]) == line


def test_a_table_as_text_and_markdown() -> None:
    table = Table("Title", ["what", "s"], [["a", "1.5"], ["bcdef", "20"]])
    assert table.text() == "Title\nwhat     s\na      1.5\nbcdef   20"
    assert "| bcdef | 20 |" in table.markdown()


def test_the_page_on_scale_shows_what_the_simulation_finds() -> None:
    figures = Measurements(capacity.FIGURES).figures()
    assert capacity.text(figures) in capacity.DOCUMENT.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["speed"], "pipeline: 'speed' is not a benchmark: choose from kernels, "),
        (["compare"], "pipeline: 'compare' takes one revision and no other benchmark, "),
        (["kernels", "compare"], "pipeline: 'compare' takes one revision and no other benchmark, "),
        (["compare", "no-such-revision"], "pipeline: 'no-such-revision' is not a revision of "),
        (["--photos", "cli"], "pipeline: 'cli' has no *.jpg files: name a folder"),
    ],
)
def test_bad_input_gets_one_sentence(words: Sequence[str], sentence: str) -> None:
    command = [sys.executable, "-m", "cli", "bench", *words]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(sentence)
    assert answer.stderr.count("\n") == 1
