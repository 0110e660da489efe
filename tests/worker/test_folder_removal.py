"""Removal of folders that a transform could write to."""

import os
from pathlib import Path

from worker import folder_removal


def test_all_is_removed_but_what_links_name(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "work"
    kept.mkdir(mode=0o500)
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    (folder / "a" / "link").symlink_to(kept)
    (folder / "link").symlink_to(kept)
    os.mkfifo(folder / "a" / "pipe")
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 50, dir_fd=at)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0o100)
    folder.chmod(0)
    folder_removal.remove(folder)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.stat().st_mode & 0o777 == 0o500
    folder_removal.remove(folder)  # nothing is there


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder" / "file").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    folder_removal.empty(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
