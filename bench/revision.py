"""A revision of this repository, checked out beside it and ready to run its worker."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import RevisionUnusable
from bench.photos import ROOT
from cli.terminal import print_progress
from worker.transforms.negate import kernels

#: What the worker and the commands are compared with: before they were made faster.
BASE = "29b3431"
#: What compiles the kernels where none are shipped, newest revisions first. A command that a
#: revision does not have ends with status 1 (no module) or 2 (argparse).
_BUILDS = (("worker", "build"), ("worker.transforms.build",))


@dataclass(frozen=True)
class Revision:
    """A checkout and the interpreter that has its locked packages."""

    name: str  # as the user wrote it
    commit: str  # abbreviated
    folder: Path
    python: Path


def resolve(name: str, repository: Path = ROOT) -> str:
    """Return the abbreviated commit of a revision.

    Args:
        name: What git takes for a revision: a hash, a branch, HEAD~20.
        repository: A checkout of the repository.

    Returns:
        The hash.

    Raises:
        RevisionUnusable: There is no such commit.
    """
    # After --end-of-options a leading hyphen does not make an option.
    words = ("rev-parse", "--short", "--verify", "--quiet", "--end-of-options")
    try:
        answer = _git(repository, *words, f"{name}^{{commit}}")
    except OSError as error:
        raise RevisionUnusable(f"git cannot be run ({error.strerror}): install it.") from error
    if answer.returncode:
        raise RevisionUnusable(
            f"'{name}' is not a revision of {repository}: name a commit, tag or branch; in a "
            "shallow clone, run 'git fetch --unshallow' first."
        )
    return answer.stdout.strip()


def require_committed(repository: Path = ROOT) -> None:
    """Refuse to measure a worker that no commit names.

    Args:
        repository: A checkout of the repository.

    Raises:
        RevisionUnusable: Files of the worker differ from HEAD.
    """
    if changed := _git(repository, "status", "--porcelain", "--", "worker").stdout.splitlines():
        raise RevisionUnusable(
            f"worker/ has {len(changed)} uncommitted changes ({changed[0][3:]}): commit or stash "
            "them, so that what is measured has a name."
        )


@contextmanager
def checkout(
    name: str, folder: Path, repository: Path = ROOT, cache: Path | None = None
) -> Iterator[Revision]:
    """Check a revision out and build it; the checkout goes however the context ends.

    Args:
        name: The revision.
        folder: Where it goes; it must not exist.
        repository: A checkout of the repository.
        cache: Where virtual environments stay; None for the user's cache.

    Yields:
        The revision, whose worker can be started.

    Raises:
        RevisionUnusable: There is no such revision, or it cannot be built.
    """  # noqa: DOC502  raised by what it calls
    with worktree(name, folder, repository) as commit:
        revision = Revision(name, commit, folder, _environment(name, folder, cache))
        _compile(revision)
        yield revision


@contextmanager
def worktree(name: str, folder: Path, repository: Path = ROOT) -> Iterator[str]:
    """Check a revision out; the checkout goes however the context ends.

    Args:
        name: The revision.
        folder: Where it goes; it must not exist.
        repository: A checkout of the repository.

    Yields:
        The abbreviated commit.

    Raises:
        RevisionUnusable: There is no such revision.
    """  # noqa: DOC502  raised by what it calls
    commit = resolve(name, repository)
    print_progress(f"Preparing {name} …")
    try:
        # Hooks of the user's repository are for the user's checkouts.
        words = ("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach")
        _check(name, _git(repository, *words, str(folder), commit))
        yield commit
    finally:
        _git(repository, "worktree", "remove", "--force", str(folder))


def _environment(name: str, folder: Path, cache: Path | None) -> Path:
    """Return the interpreter of a virtual environment with the worker's locked packages."""
    lock = folder / "worker" / "requirements.txt"
    if not lock.is_file():
        raise RevisionUnusable(
            f"Revision '{name}' has no worker/requirements.txt to install from: name a later one."
        )
    # Of another interpreter, an environment has other packages, or none once that is removed.
    text = lock.read_bytes() + f"{sys.version}{sys.base_prefix}".encode()
    cache = cache or kernels.cache() / "bench"
    target = cache / f"worker-{hashlib.sha256(text).hexdigest()[:16]}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as scratch:
            made = Path(scratch) / "venv"
            _check(name, _run([sys.executable, "-m", "venv", str(made)], folder))
            pip = [str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            _check(name, _run([*pip, "install", "--quiet", "-r", str(lock)], folder))
            # All at once: another run may be looking. One that was faster is as good.
            with suppress(OSError):
                made.rename(target)
    return target / "bin" / "python"


def _compile(revision: Revision) -> None:
    """Compile the kernels and the modules, as a machine has them when a pass starts."""
    python = str(revision.python)
    answers = []
    for module, *arguments in _BUILDS:
        answers.append(_run([python, "-m", module, *arguments], revision.folder))
        if not answers[-1].returncode:
            break
    else:
        _check(revision.name, answers[0])
    _check(revision.name, _run([python, "-m", "compileall", "-q", "worker"], revision.folder))


def _git(repository: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return _run(["git", *words], repository)


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    # Where the user's PYTHONPATH names this checkout, its modules would be found first.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _check(name: str, answer: "subprocess.CompletedProcess[str]") -> None:
    if answer.returncode:
        lines = (answer.stderr.strip() or answer.stdout.strip() or "no error message").splitlines()
        raise RevisionUnusable(f"Revision '{name}' cannot be built: {lines[-1].rstrip('.')}.")
