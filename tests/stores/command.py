"""`./pipeline check-store` as a person or a program runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.object_store import ObjectStore
from tests.eventually import patience

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a run."""

    status: int
    out: str
    err: str


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start it; of our environment it gets only the few variables that it needs."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "check-store", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "COLUMNS": "200"}
        | environment,
    )


def run(*arguments: str, **environment: str) -> Ended:
    """Run it to its end."""
    with start(*arguments, **environment) as process:
        out, err = process.communicate(timeout=600 * patience())
        return Ended(process.returncode, out, err)


def keys_file(folder: Path, own: ObjectStore, other: ObjectStore | None = None) -> Path:
    """Write a file in the format of AWS's tools."""
    sections = {"default": own} | ({"other": other} if other else {})
    text = "".join(
        f"[{name}]\naws_access_key_id = {keys.access_key}\n"
        f"aws_secret_access_key = {keys.secret_key}\n"
        for name, keys in sections.items()
    )
    file = folder / "keys"
    file.touch(mode=0o600)
    file.write_text(text)
    return file
