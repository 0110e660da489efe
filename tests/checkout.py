"""A fresh copy of the project, and its `./pipeline` as a person would type it there."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.eventually import patience

PROJECT = Path(__file__).parent.parent
PATIENCE_SECONDS = 600


def copy_project(target: Path) -> None:
    """What a clone of the working tree would hold, as a git repository of its own."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "-qm", "copy"]):
        subprocess.run(["git", *words], cwd=target, check=True)


def settle(base: Path) -> tuple[Path, Path, Path]:
    """A copy that shares this run's packages, a home and a temporary folder, all below `base`."""
    folder, home, temporary = base / "project", base / "home", base / "tmp"
    for each in (folder, home, temporary):
        each.mkdir()
    temporary.chmod(0o1777)
    copy_project(folder)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    return folder, home, temporary


@dataclass(frozen=True)
class Checkout:
    """One copy with an environment: home, cache and temporary folder of its own."""

    folder: Path
    environment: dict[str, str]
    prefix: Sequence[str] = field(default=())  # for example setpriv, to be somebody else

    def pipeline(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `./pipeline words` to its end; fails the test on another exit code than `code`."""
        answer = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS * patience(),
        )
        told = f"./pipeline {' '.join(words)}\n{answer.stdout}\n{answer.stderr}"
        assert code is None or answer.returncode == code, told
        assert "Traceback" not in answer.stdout + answer.stderr, told
        return answer

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
        """The answer of a command that has `--json`."""
        return json.loads(self.pipeline(*words, "--json").stdout)

    def command(self, *words: str) -> list[str]:
        """The whole command line."""
        return [*self.prefix, "./pipeline", *words]


def told_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What it tells, up to the first line that `pattern` is found in, which must come."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if re.search(pattern, line):
            return told
    raise AssertionError(f"it never told {pattern!r}:\n{told}")


def environment(home: Path, temporary: Path, **more: str) -> dict[str, str]:
    """A newcomer's environment: nothing of ours but what reaches the package registries."""
    kept = ("PATH", "LANG", "SSL_CERT_", "PIP_", "REQUESTS_CA", "CURL_CA", "GO", "HTTP", "http")
    inherited = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return {**inherited, "HOME": str(home), "TMPDIR": str(temporary), **more}


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder with modes that let others look."""
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def make_checkout(base: Path, pulumi: Path) -> Checkout:
    """A copy below `base`; home and temporary folder are its own, the packages are ours."""
    folder, home, temporary = settle(base)
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    return Checkout(folder, environment(home, temporary, PATH=path))


def seed_cache(home: Path, pulumi: Path) -> None:
    """Put the CLI where a second run would find it."""
    shutil.copytree(pulumi, home / ".cache" / "image-pipeline" / pulumi.name, symlinks=True)
