"""A fresh copy of the project, and its `./pipeline` as a user runs it there."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from tests.eventually import eventually, patience

PROJECT = Path(__file__).parent.parent
_PATIENCE_SECONDS = 600


def copy_project(target: Path) -> None:
    """Copy what git tracks, or would track, into a git repository of its own.

    Byte code goes along: without it each copy compiles what it imports, a second of CPU.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        compiled = [cache_from_source(name)] if name.endswith(".py") else []
        for each in (name, *compiled):
            if (PROJECT / each).is_file():
                (target / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / each, target / each)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    quickly = ["-c", "core.compression=0"]
    for words in (
        ["init", "--quiet"],
        [*quickly, "add", "--all"],
        [*identity, "commit", "-qm", "copy"],
    ):
        subprocess.run(["git", *words], cwd=target, check=True)


def prepare_folders(base: Path) -> tuple[Path, Path, Path]:
    """Make a copy that shares this run's .venv, a home and a temporary folder below `base`."""
    folder, home, temporary = base / "project", base / "home", base / "tmp"
    for each in (folder, home, temporary):
        each.mkdir()
    temporary.chmod(0o1777)
    copy_project(folder)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    return folder, home, temporary


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, with its own home, cache and temporary folder."""

    folder: Path
    environment: dict[str, str]
    prefix: Sequence[str] = field(default=())  # for example setpriv, to run as another user

    def pipeline(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `./pipeline words`; fail the test unless it exits with `code` (None: any)."""
        answer = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS * patience(),
        )
        output = f"./pipeline {' '.join(words)}\n{answer.stdout}\n{answer.stderr}"
        assert code is None or answer.returncode == code, output
        assert "Traceback" not in answer.stdout + answer.stderr, output
        return answer

    def await_tables(self, *stack: str) -> None:
        """Wait until the machine has created the tables: `log` fails before."""
        eventually(lambda: self.pipeline("log", *stack, code=None).returncode == 0)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `./pipeline words` in a session of its own.

        Returns:
            The process. It gets Ctrl-C even if this run ignores it (nohup, a background job).
        """
        return subprocess.Popen(
            ["env", "--default-signal=INT", *self.command(*words)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def json(self, *words: str) -> Any:
        """Run a command with `--json`; return what it printed."""
        return json.loads(self.pipeline(*words, "--json").stdout)

    def command(self, *words: str) -> list[str]:
        """Return the whole command line."""
        return [*self.prefix, "./pipeline", *words]


def output_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Return the output up to the first line that matches `pattern`, which must appear."""
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if re.search(pattern, line):
            return output
    raise AssertionError(f"it never printed {pattern!r}:\n{output}")


def output_to_end(process: subprocess.Popen[str]) -> str:
    """Return the rest of the output, up to the process's end."""
    return process.communicate(timeout=_PATIENCE_SECONDS * patience())[0]


def environment(home: Path, temporary: Path, **more: str) -> dict[str, str]:
    """Return a new user's environment: of ours, only what reaches the package registries."""
    kept = ("PATH", "LANG", "SSL_CERT_", "PIP_", "REQUESTS_CA", "CURL_CA", "GO", "HTTP", "http")
    inherited = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return {**inherited, "HOME": str(home), "TMPDIR": str(temporary), **more}


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a temporary folder that other users may read."""
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def make_checkout(base: Path, pulumi: Path) -> Checkout:
    """Make a copy below `base` with its own home and temporary folder, and our packages."""
    folder, home, temporary = prepare_folders(base)
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    return Checkout(folder, environment(home, temporary, PATH=path))


def seed_cache(home: Path, pulumi: Path) -> None:
    """Put Pulumi's CLI into the cache, as after a first run."""
    shutil.copytree(pulumi, home / ".cache" / "image-pipeline" / pulumi.name, symlinks=True)
