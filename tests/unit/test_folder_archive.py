"""A user's folder as an archive: the same bytes everywhere, and only what belongs to it."""

import os
import random
import shutil
import zipfile
from pathlib import Path

import pytest

from clients import archive
from clients.archive import CHECKOUT

NOISE = random.Random(13).randbytes(100_000)  # noqa: S311
#: Path in the folder -> content; those that are shipped, in their order in the zip.
SHIPPED = {
    "Train.java": b"class Train {}\n",
    "data/é.bin": NOISE,
    "lib/link.jar": NOISE[:2000],
    "lib/model.jar": NOISE[:2000],
    "requirements.txt": b"",
    "run": b"#!/bin/sh\n",
}
LEFT_OUT = (".git/config", ".env", "lib/.DS_Store", "__pycache__/x.cpython-311.pyc", "x.pyc")
LEFT_OUT_TOO = ("data/Thumbs.db", "data/__pycache__/y.bin", ".venv/bin/python")


def make(folder: Path, umask: int) -> Path:
    """Write the folder as a clone with that umask has it, its files in another order."""
    before = os.umask(umask)
    try:
        names = [*SHIPPED, *LEFT_OUT, *LEFT_OUT_TOO]
        for name in names if umask == 0o022 else reversed(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(SHIPPED.get(name, b"stale"))
            os.utime(path, (umask, umask))
        (folder / "lib/link.jar").unlink()
        (folder / "lib/link.jar").symlink_to("model.jar")
        (folder / "run").chmod(0o777 & ~umask)
    finally:
        os.umask(before)
    return folder


def test_archive_holds_the_shipped_files_with_their_modes(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", 0o022)
    with archive.pack(archive.contents(str(folder))) as packed, zipfile.ZipFile(packed) as found:
        entries = found.infolist()
        assert {name: found.read(name) for name in found.namelist()} == SHIPPED
    assert [entry.filename for entry in entries] == list(SHIPPED)
    assert {entry.filename: entry.external_attr >> 16 for entry in entries} == {
        **dict.fromkeys(SHIPPED, 0o644),
        "run": 0o755,
    }


def test_archive_has_the_same_bytes_from_every_clone(tmp_path: Path) -> None:
    made = {umask: make(tmp_path / f"{umask:o}", umask) for umask in (0o022, 0o002, 0o077)}
    packed = []
    for folder in made.values():
        with archive.pack(archive.contents(str(folder))) as each:
            packed.append(each.read())
    assert len(set(packed)) == 1
    described = archive.describe(str(made[0o022]))
    assert described.sha256 == archive.describe(str(made[0o077])).sha256
    assert described.key == f".image-pipeline/folder-{described.sha256[:16]}.zip"


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_other_contents_are_another_archive(change: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", 0o022)
    before = archive.describe(str(folder))
    file = folder / "data/é.bin"
    if change == "content":
        file.write_bytes(NOISE[:-1] + bytes([NOISE[-1] ^ 1]))
    elif change == "name":
        file.rename(folder / "data/e.bin")
    else:
        file.chmod(0o755)
    after = archive.describe(str(folder))
    assert after.sha256 != before.sha256
    assert after.key != before.key


def test_what_is_left_out_makes_no_difference(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", 0o022)
    before = archive.describe(str(folder))
    shutil.rmtree(folder / "__pycache__")
    (folder / ".env").write_text("PASSWORD=x")
    assert archive.describe(str(folder)) == before


def test_relative_folder_is_below_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program, its providers and the commands run in different folders."""
    monkeypatch.chdir(tmp_path)
    assert archive.located("samples") == CHECKOUT / "samples"
    assert "cat.jpg" in archive.contents("samples")
    assert archive.located(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert archive.located("~/folder") == tmp_path / "folder"
