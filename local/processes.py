"""Processes that outlive the command which started them, and can always be found again.

Everything started for a folder carries that folder's random marker in its environment. The
marker is on disk before the first start, so a SIGKILL of the caller at any point leaves
nothing that `end` cannot find: a record of process ids alone would miss the child started
just before its id was written down. The marker is also a process's identity: a recycled id
does not carry it, and unlike a start time it does not move with the clock.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from local import files

VARIABLE = "IMAGE_PIPELINE_LOCAL"
CHECKOUT = Path(__file__).resolve().parent.parent


def marker(folder: Path) -> str:
    """The folder's marker, made when there is none."""
    path = folder / "marker"
    if not path.exists():
        files.write(path, secrets.token_hex(16))
    return path.read_text(encoding="utf-8")


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child of `folder` inherits: ours, the marker and this checkout's modules."""
    return {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **(extra or {}),
        VARIABLE: marker(folder),
    }


def start(
    folder: Path,
    name: str,
    argv: Sequence[str],
    *,
    extra: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    group: int | None = None,
) -> int:
    """Start `argv` in a session of its own, output to `folder/<name>.log`; returns its id.

    From then on any process can tell that it is ours: it has its environment.
    """
    with (folder / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(folder, extra),
            cwd=cwd or folder,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    _started.append(child)
    _await_environment(child)
    files.write(folder / f"{name}.pid", str(child.pid))
    return child.pid


def start_module(folder: Path, name: str, module: str, arguments: Sequence[str]) -> int:
    """Start a module of this checkout with the Python that runs us."""
    return start(folder, name, [sys.executable, "-m", module, *arguments])


def running(folder: Path, name: str) -> bool:
    """Whether the recorded process lives, and is ours."""
    reap()
    try:
        number = int((folder / f"{name}.pid").read_text(encoding="utf-8"))
        process = psutil.Process(number)
        return process.environ().get(VARIABLE) == marker(folder) and _alive(process)
    except (FileNotFoundError, psutil.Error):
        return False


def await_file(folder: Path, name: str, path: Path, seconds: float) -> str | None:
    """The text of a file that a started process writes when it is ready; None if it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists():
            return path.read_text(encoding="utf-8")
        if not running(folder, name):
            return None
        time.sleep(0.02)
    return None


def kill(folder: Path, name: str) -> None:
    """Kill the recorded process alone; what it started goes on."""
    if running(folder, name):
        process = psutil.Process(int((folder / f"{name}.pid").read_text(encoding="utf-8")))
        _signal(process, signal.SIGKILL)
        _await_ends({process}, 10)


def end(folder: Path, first: signal.Signals = signal.SIGTERM, seconds: float = 5.0) -> None:
    """End everything that carries the folder's marker, and what came from it; wait for it.

    `first` is asked of the topmost ones, then of those they leave behind; whatever lives after
    `seconds` is killed. A process may appear while we look (a child just forked), so this
    repeats until a look finds none.
    """
    if not (folder / "marker").exists():
        return
    token = marker(folder)
    found = _marked(token)
    asked: set[psutil.Process] = set()
    deadline = time.monotonic() + seconds
    while (alive := set(filter(_alive, found))) and time.monotonic() < deadline:
        for process in _topmost(alive) - asked:
            _signal(process, first)
            asked.add(process)
        _await_ends(alive, 0.05)
    while alive := {*filter(_alive, found), *_marked(token)}:
        for process in alive:
            _signal(process, signal.SIGKILL)
        _await_ends(alive, 1)
        found |= alive


_started: list["subprocess.Popen[bytes]"] = []


def reap() -> None:
    """Collect the ends of processes that we started ourselves, so that no zombie stays."""
    _started[:] = [child for child in _started if child.poll() is None]


def _await_environment(child: "subprocess.Popen[bytes]") -> None:
    """For a moment after exec(2) a process has none yet; a second is plenty."""
    deadline = time.monotonic() + 1
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(child.pid)
        while child.poll() is None and not process.environ() and time.monotonic() < deadline:
            time.sleep(0.001)


def _await_ends(found: set[psutil.Process], seconds: float) -> None:
    """Wait until none lives. A zombie does not: its parent may take its time to collect it."""
    deadline = time.monotonic() + seconds
    while any(map(_alive, found)) and time.monotonic() < deadline:
        time.sleep(0.01)
        reap()


def _marked(token: str) -> set[psutil.Process]:
    seen = [(process, _environment(process)) for process in psutil.process_iter()]
    unread = [process for process, environment in seen if not environment and _program(process)]
    if unread:  # one that just executes its program has none for a moment
        time.sleep(0.01)
        seen += [(process, _environment(process)) for process in unread]
    found: set[psutil.Process] = set()
    for process, environment in seen:
        if environment.get(VARIABLE) == token:
            found |= {process, *_family(process, token)}
    return {process for process in found if process.pid != os.getpid() and _alive(process)}


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        found: dict[str, str] = process.environ()
    except psutil.Error:
        return {}
    return found


def _program(process: psutil.Process) -> str:
    """Empty for what belongs to others and for the kernel's threads."""
    try:
        return str(process.exe())
    except psutil.Error:
        return ""


def _family(process: psutil.Process, token: str) -> set[psutil.Process]:
    """Its descendants, but for those of another folder and theirs.

    PostgreSQL's children overwrite their environment with their title, so no marker is ours.
    """
    found: set[psutil.Process] = set()
    try:
        for child in process.children():
            if _environment(child).get(VARIABLE, token) == token:
                found |= {child, *_family(child, token)}
    except psutil.Error:
        return found
    return found


def _topmost(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Those whose parent is not among them."""
    found, numbers = set(), {process.pid for process in processes}
    for process in processes:
        try:
            if process.ppid() not in numbers:
                found.add(process)
        except psutil.Error:
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    """A zombie lives as long as threads of it do: until then its ports are taken."""
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return bool(process.is_running() and not ended)
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return
