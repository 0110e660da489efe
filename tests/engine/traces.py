"""What a machine looks like before and after: whatever differs was left behind."""

import os
import stat
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Traces:
    """Everything a command might leave; each a set so that a difference reads as what was left."""

    processes: frozenset[str]
    sockets: frozenset[str]
    mounts: frozenset[str]
    accounts: frozenset[str]
    files: frozenset[str]

    def left_since(self, before: "Traces") -> dict[str, set[str]]:
        """What is here now and was not before, by kind; kinds without a difference are absent."""
        found = {
            each.name: set(getattr(self, each.name) - getattr(before, each.name))
            for each in fields(self)
        }
        return {name: left for name, left in found.items() if left}


def traces(folders: list[Path], but: list[Path]) -> Traces:
    """The machine now; files are those below `folders`, except below `but`."""
    return Traces(
        processes=frozenset(_processes()),
        sockets=frozenset(_sockets()),
        mounts=frozenset(Path("/proc/self/mounts").read_text().splitlines()),
        accounts=frozenset(Path("/etc/passwd").read_text().splitlines()),
        files=frozenset(line for folder in folders for line in _files(folder, but)),
    )


def _processes() -> list[str]:
    """Those that are not this test's own: kernel threads come and go by themselves."""
    lines = []
    for process in psutil.process_iter(["pid", "cmdline", "create_time"]):
        if process.info["cmdline"]:
            lines.append(f"{process.info['pid']} {' '.join(process.info['cmdline'])[:200]}")
    return lines


def _sockets() -> list[str]:
    listing = subprocess.run(
        ["ss", "-lntupH"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [" ".join(line.split()) for line in listing]


def _files(folder: Path, but: list[Path]) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = [name for name in folders if here / name not in but]
        for path in (here, *(here / name for name in names)):
            if path not in but:
                found.append(f"{path} {stat.filemode(path.lstat().st_mode)}")
    return found
