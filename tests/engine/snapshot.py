"""The machine's processes, sockets, mounts, accounts and files, to compare before and after."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Snapshot:
    """What a command might leave behind; sets, so that a difference shows what was left."""

    processes: frozenset[str]
    sockets: frozenset[str]
    mounts: frozenset[str]
    accounts: frozenset[str]
    files: frozenset[str]

    def left_since(self, before: "Snapshot") -> dict[str, set[str]]:
        """Return what is new since `before`, by kind; kinds without a difference are left out."""
        found = {
            each.name: set(getattr(self, each.name) - getattr(before, each.name))
            for each in fields(self)
        }
        return {name: left for name, left in found.items() if left}


def take_snapshot(base: Path) -> Snapshot:
    """Return what the machine has now of everything that concerns `base`.

    Processes are those that name it in their command line, environment or working folder, sockets
    those of these processes: what else runs on the machine comes and goes as it likes. The files
    are those of the home and the temporary folder below it, without the user's cache.
    """
    processes = dict(_processes(str(base)))
    home, temporary = base / "home", base / "tmp"
    return Snapshot(
        processes=frozenset(processes.values()),
        sockets=frozenset(_sockets(set(processes))),
        mounts=frozenset(_mounts(str(base))),
        accounts=frozenset(Path("/etc/passwd").read_text().splitlines()),
        files=frozenset([*_files(home, home / ".cache"), *_files(temporary, None)]),
    )


def _mounts(base: str) -> Iterator[str]:
    """Yield all mounts but those of tests that run beside this one, in their temporary folders."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if base in line or tempfile.gettempdir() not in line:
            yield line


def _processes(base: str) -> Iterator[tuple[int, str]]:
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            printed = [line, process.cwd(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(base in text for text in printed):
            yield process.pid, f"{process.pid} {line[:200]}"


def _sockets(processes: set[int]) -> list[str]:
    command = ["ss", "-lntupH"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [" ".join(line.split()) for line in listing.splitlines()]
    return [line for line in lines if any(f"pid={pid}," in line for pid in processes)]


def _files(folder: Path, but: Path | None) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = [name for name in folders if here / name != but]
        for path in (here, *(here / name for name in names)):
            yield f"{path} {stat.filemode(path.lstat().st_mode)}"
