"""Commands of docs/recovery.md, as a user pastes them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.worker.pipeline import ROOT

_DOCUMENT = ROOT / "docs" / "recovery.md"


def block(heading: str, words: str) -> str:
    """Return the commands below a heading that contain some words."""
    section = _DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (found,) = (text for text in section.split("\n```")[1::2] if words in text)
    return found.partition("\n")[2]


def paste(commands: str, home: Path, changes: Mapping[str, str]) -> str:
    """Run commands in a shell in the project's folder, with other names; return what they print."""
    for old, new in changes.items():
        assert old in commands, old
        commands = commands.replace(old, new)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
