"""`apply` writes into a folder or to a name, and reports each bad file without stopping."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import ROOT

PHOTO = encode(picture(), "PNG")


def apply(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, without settings."""
    return subprocess.run(
        [sys.executable, "-m", "worker", "apply", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with good files, a bad one, and a folder for results."""
    for name, body in {"a.png": PHOTO, "b b.png": PHOTO, "bad.png": b"bad"}.items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(PHOTO)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "results"),
    [
        (["a.png", "result.png"], ["result.png"]),
        (["a.png", "out"], ["out/negated_a.png"]),
        (["a.png", "b b.png", "out"], ["out/negated_a.png", "out/negated_b b.png"]),
        (["a.png", "b b.png", "x/new"], ["x/new/negated_a.png", "x/new/negated_b b.png"]),
        (["a.png", "x/"], ["x/negated_a.png"]),
        (["a.png", "--to", "x/"], ["x/negated_a.png"]),
        (["a.png", "a.png"], ["a.png"]),
    ],
)
def test_results_go_where_they_should(
    folder: Path, arguments: list[str], results: list[str]
) -> None:
    before = sorted(folder.rglob("*"))
    done = apply(folder, "negate", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name in results:
        assert error(decode((folder / name).read_bytes()), negated(PHOTO)) == 0
    after = {path for path in folder.rglob("*") if path.is_file() or path in before}
    assert after == {*before, *(folder / name for name in results)}


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["negate", "bad.png", "a.png", "out"], 1, "bad.png: not a picture in a supported format"),
        (["negate", "nowhere.png", "a.png", "out"], 1, "nowhere.png: No such file or directory."),
        (["negate", "out", "a.png", "out"], 1, "out: Is a directory."),
        (["negate", "a.png", "b b.png", "bad.png"], 1, "bad.png is not a folder: name another"),
        (["negate", "a.png", "bad.png/x/"], 1, "bad.png/x cannot be created: Not a directory."),
        (["negate", "a.png", "other/a.png", "out"], 1, "have the same name"),
        (["negate", "a.png", "nowhere/x.png"], 1, "a.png: No such file or directory."),
        (["sharpen", "a.png", "out"], 2, "transform is 'sharpen': set it to one of "),
    ],
)
def test_problems_are_reported_and_other_files_done(
    folder: Path, arguments: list[str], status: int, sentence: str
) -> None:
    before = sorted(folder.rglob("*"))
    done = apply(folder, *arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    others = [folder / "out/negated_a.png"] if arguments[2:] == ["a.png", "out"] else []
    assert sorted(folder.rglob("*")) == sorted(before + others)


def test_results_are_reproducible(folder: Path) -> None:
    for name in ("first.png", "second.png"):
        assert apply(folder, "negate", "a.png", name).returncode == 0
    assert (folder / "first.png").read_bytes() == (folder / "second.png").read_bytes()
