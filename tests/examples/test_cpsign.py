"""cpsign: configurations become models by way of a database and programs in Java."""

import csv
import os
import re
import signal
import xml.etree.ElementTree as ET
import zipfile

import psutil
import pytest

from tests.checkout import Checkout, output_until
from tests.engine.snapshot import take_snapshot
from tests.examples.shown import Shown, show

SPLITS = {"configuration.json": 4, "strict/configuration.json": 3}


def assert_models_are_shown(shown: Shown) -> None:
    """Two runs: each has a job for each split, one model, and its validity."""
    assert shown.jobs() == {
        "ingest": ["done"] * len(SPLITS),
        "train": ["done"] * sum(SPLITS.values()),
        "model": ["done"] * len(SPLITS),
    }
    read = re.findall(r"(\d+) rows read, (\d+) rows kept \(", shown.text)
    assert len(read) == sum(SPLITS.values())
    assert all(int(kept) == int(rows) - 7 for rows, kept in read)  # 4 are small, 3 unreadable
    assert "left out 3 with unreadable SMILES, 4 with less than five heavy atoms" in shown.text
    models = shown.files("model", ".jar")
    assert len(models) == len(SPLITS)
    for model in models:
        with zipfile.ZipFile(model) as archive:
            assert archive.testzip() is None
    tables = shown.files("model", ".csv")
    assert len(tables) == len(SPLITS)
    for table in tables:
        with table.open(newline="") as stream:
            rows = [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)
            ]
        assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
        # 64 test rows: what is promised holds but for chance.
        assert all(row["accuracy"] > row["confidence"] - 0.15 for row in rows)
    for picture in shown.files("model", ".svg"):
        assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314  our own
    runs = {row[0] for row in shown.table("select run_id, data->>'confidence'")}
    assert len(runs) == len(SPLITS)


def test_two_configurations_are_two_runs(checkout: Checkout) -> None:
    assert_models_are_shown(show(checkout, "cpsign"))


@pytest.mark.timeout(600)
def test_destroy_ends_the_database_of_a_killed_demo(checkout: Checkout) -> None:
    before = take_snapshot(checkout.folder.parent)
    demo = checkout.start("demo", "--example", "cpsign")
    output_until(demo, "^Deploying the pipeline")
    os.killpg(demo.pid, signal.SIGKILL)
    demo.wait()
    assert any(
        each.info["name"] == "mariadbd"
        and str(checkout.folder) in " ".join(each.info["cmdline"] or ())  # None of a zombie
        for each in psutil.process_iter(["name", "cmdline"])  # not those that end meanwhile
    )
    checkout.pipeline("destroy")
    assert take_snapshot(checkout.folder.parent).left_since(before) == {}
    assert not (checkout.folder / ".local").exists()
