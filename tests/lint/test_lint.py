"""The code is clean by the linters' own word; a linter that is not here is a printed skip."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
PYTHON = [sys.executable, "-m"]


def tracked(*patterns: str) -> list[str]:
    """What git tracks, or would: a linter has no business in caches and virtual environments."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return [name for name in names.stdout.splitlines() if (CHECKOUT / name).is_file()]


def shell_scripts() -> list[str]:
    """Every tracked file whose first line names a shell."""
    return [
        name
        for name in tracked()
        if (CHECKOUT / name).read_bytes()[:64].split(b"\n")[0].endswith((b"bash", b"/sh"))
    ]


def complaints(command: list[str]) -> str:
    """What a linter printed, empty where it has nothing to say."""
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_ruff_finds_nothing() -> None:
    assert complaints([*PYTHON, "ruff", "check", "--quiet"]) == ""


def test_code_is_formatted() -> None:
    assert complaints([*PYTHON, "ruff", "format", "--check", "--quiet"]) == ""


@pytest.mark.timeout(300)
def test_types_hold() -> None:
    assert complaints([*PYTHON, "mypy"]) == ""


def test_yaml_is_well_formed() -> None:
    rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable}}"
    command = [*PYTHON, "yamllint", "--strict", "-d", rules, *tracked("*.yaml", "*.yml")]
    assert complaints(command) == ""


def test_shell_scripts_are_sound() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (Debian package 'shellcheck')")
    assert complaints(["shellcheck", *shell_scripts()]) == ""


def test_packages_import_only_what_they_may() -> None:
    assert complaints([str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]) == ""
