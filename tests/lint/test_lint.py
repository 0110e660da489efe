"""Every linter passes. A linter that is not installed is skipped, with the reason."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import patience

CHECKOUT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


def tracked(*patterns: str) -> list[str]:
    """Return the files that git tracks or would track: no caches, no virtual environments."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return [name for name in names.stdout.splitlines() if (CHECKOUT / name).is_file()]


def shell_scripts() -> list[str]:
    """Return the tracked files whose first line names a shell."""
    return [
        name
        for name in tracked()
        if (CHECKOUT / name).read_bytes()[:64].split(b"\n")[0].endswith((b"bash", b"/sh"))
    ]


def lint(program: str | Path, *arguments: str) -> str:
    """Run a linter; return what it printed if it failed, else an empty string."""
    answer = subprocess.run(
        [program, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_ruff() -> None:
    assert lint(BIN / "ruff", "check", "--quiet") == ""


def test_format() -> None:
    assert lint(BIN / "ruff", "format", "--check", "--quiet") == ""


@pytest.mark.timeout(300 * patience())
def test_types() -> None:
    assert lint(BIN / "mypy") == ""


def test_imports() -> None:
    assert lint(BIN / "lint-imports", "--no-logo") == ""


def test_yaml() -> None:
    assert lint(BIN / "yamllint", "--strict", *tracked("*.yaml", "*.yml")) == ""


def test_shell_scripts() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian package 'shellcheck')")
    assert lint("shellcheck", *shell_scripts()) == ""
