"""Processes that outlive the command which started them, and can always be found again.

Every process that is started for a folder carries the folder's random marker in its environment.
The marker is on disk before the first start, so a SIGKILL of the caller at any moment leaves
nothing that `end` cannot find: a record of process ids alone would miss a child whose id was not
yet written. The marker also identifies a process: a recycled id does not carry it, and unlike a
start time it does not depend on the clock.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from local import private_file

VARIABLE = "IMAGE_PIPELINE_LOCAL"
CHECKOUT = Path(__file__).resolve().parent.parent


def find_program(name: str) -> str | None:
    """Return the path of a program or server, None if it is not installed.

    Users' PATH often lacks the folders of servers: /usr/sbin beside /usr/bin.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders += [f"{one.removesuffix('bin')}sbin" for one in folders if one.endswith("/bin")]
    return shutil.which(name, path=os.pathsep.join(folders))


def marker(folder: Path) -> str:
    """Return the folder's marker; makes it if need be."""
    path = folder / "marker"
    if not path.exists():
        private_file.write(path, secrets.token_hex(16))
    return path.read_text(encoding="utf-8")


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a folder's processes: ours, the marker, this checkout's modules.

    Args:
        folder: the folder that the processes are started for.
        extra: more variables.
    """
    return {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
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
    """Start a process in a new session.

    When this returns, other processes can see that it carries the marker.

    Args:
        folder: the folder that it is started for.
        name: the name of its id's and output's files, `NAME.pid` and `NAME.log` in `folder`.
        argv: the program and its arguments.
        extra: more variables for its environment.
        cwd: its working directory, by default `folder`.
        user: the user id to run as, by default ours.
        group: the group id to run as, by default ours.

    Returns:
        The process id.
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
    private_file.write(folder / f"{name}.pid", str(child.pid))
    return child.pid


def start_module(folder: Path, name: str, module: str, arguments: Sequence[str]) -> int:
    """Start a module of this checkout with this Python; returns the process id."""
    return start(folder, name, [sys.executable, "-m", module, *arguments])


def is_running(folder: Path, name: str) -> bool:
    """Whether the process that `start` recorded under this name is alive."""
    reap()
    try:
        number = int((folder / f"{name}.pid").read_text(encoding="utf-8"))
        process = psutil.Process(number)
        return process.environ().get(VARIABLE) == marker(folder) and _alive(process)
    except (FileNotFoundError, psutil.Error):
        return False


def await_file(folder: Path, name: str, path: Path, seconds: float) -> str | None:
    """Wait for a file that a started process writes when it is ready.

    Args:
        folder: the folder that the process was started for.
        name: the name that it was started under.
        path: the file.
        seconds: how long to wait.

    Returns:
        The file's text; None if the process ended or the time passed.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists():
            return path.read_text(encoding="utf-8")
        if not is_running(folder, name):
            return None
        time.sleep(0.02)
    return None


def kill(folder: Path, name: str) -> None:
    """Kill the process that was started under this name; its children keep running."""
    if is_running(folder, name):
        process = psutil.Process(int((folder / f"{name}.pid").read_text(encoding="utf-8")))
        _signal(process, signal.SIGKILL)
        _await_ends({process}, 10)


def end(folder: Path, first: signal.Signals = signal.SIGTERM, seconds: float = 5.0) -> None:
    """End every process that carries the folder's marker, and their descendants; wait for it.

    A process may be forked while the list is read, so this repeats until none is found.

    Args:
        folder: the folder that they were started for; may be missing.
        first: the signal to the topmost processes, then to those that they leave behind.
        seconds: how long to wait before the rest is killed.
    """
    if not (folder / "marker").exists():
        return
    token = marker(folder)
    found = _marked(token)
    signalled: set[psutil.Process] = set()
    deadline = time.monotonic() + seconds
    while (alive := set(filter(_alive, found))) and time.monotonic() < deadline:
        for process in _topmost(alive) - signalled:
            _signal(process, first)
            signalled.add(process)
        _await_ends(alive, 0.05)
    while alive := {*filter(_alive, found), *_marked(token)}:
        for process in alive:
            _signal(process, signal.SIGKILL)
        _await_ends(alive, 1)
        found |= alive


_started: list["subprocess.Popen[bytes]"] = []


def reap() -> None:
    """Collect the exit statuses of our own children, so that no zombie stays."""
    _started[:] = [child for child in _started if child.poll() is None]


def _await_environment(child: "subprocess.Popen[bytes]") -> None:
    """Wait until the child's environment can be read: for a moment after exec(2) it is empty."""
    deadline = time.monotonic() + 10
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(child.pid)
        while child.poll() is None and not process.environ() and time.monotonic() < deadline:
            time.sleep(0.001)


def _await_ends(found: set[psutil.Process], seconds: float) -> None:
    """Wait until all have ended; a zombie has, even if its parent does not collect it yet."""
    deadline = time.monotonic() + seconds
    while any(map(_alive, found)) and time.monotonic() < deadline:
        time.sleep(0.01)
        reap()


def _marked(token: str) -> set[psutil.Process]:
    seen = [(process, _environment(process)) for process in psutil.process_iter()]
    unread = [process for process, environment in seen if not environment and _program(process)]
    if unread:  # right after exec(2) the environment is empty
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
    """The process's program; "" for other users' processes and the kernel's threads."""
    try:
        return str(process.exe())
    except psutil.Error:
        return ""


def _family(process: psutil.Process, token: str) -> set[psutil.Process]:
    """Return the process's descendants, except those of another folder and theirs.

    A descendant without any marker counts: PostgreSQL's children overwrite their environment with
    their title.
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
    """The processes whose parent is not among them."""
    found, numbers = set(), {process.pid for process in processes}
    for process in processes:
        try:
            if process.ppid() not in numbers:
                found.add(process)
        except psutil.Error:
            continue
    return found


def _alive(process: psutil.Process) -> bool:
    """Whether the process still runs; a zombie does while it has threads, which keep its ports."""
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
