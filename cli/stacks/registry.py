"""What `init` remembers of a stack on a cloud: outside git, in the user's data folder."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.errors import CommandError
from cli.paths import CHECKOUT
from cli.private_files import write_private

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""What Pulumi takes as a stack's name."""


def data_folder() -> Path:
    """Where stacks are remembered (XDG Base Directory Specification): worth a backup."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "image-pipeline"


@dataclass(frozen=True)
class Record:
    """Where a stack's state is (a Pulumi backend's URL) and the file with its passphrase."""

    backend: str
    passphrase_file: str


def folder(stack: str) -> Path:
    """What belongs to one stack: record, passphrase, known hosts."""
    return data_folder() / "stacks" / stack


def settings_file(stack: str) -> Path:
    """The stack's settings, in the checkout, where bare `pulumi` looks for them too."""
    return CHECKOUT / f"Pulumi.{stack}.yaml"


def known() -> list[str]:
    """Stacks that `init` made or took over."""
    return sorted(path.parent.name for path in data_folder().glob("stacks/*/stack.json"))


def save(stack: str, record: Record) -> None:
    """Remember; replaces what was known."""
    write_private(folder(stack) / "stack.json", json.dumps(asdict(record), indent=2) + "\n")


def load(stack: str) -> Record:
    """What is known; raises CommandError where `init` never was."""
    try:
        text = (folder(stack) / "stack.json").read_text(encoding="utf-8")
        return Record(**json.loads(text))
    except FileNotFoundError:
        others = ", ".join(known()) or "none"
        raise CommandError(
            f"Stack '{stack}' is not known on this computer (known: {others}, and 'local'): "
            f"'./pipeline init {stack}' makes it, or takes over one whose state and passphrase "
            "you have."
        ) from None
    except (ValueError, TypeError) as error:
        raise CommandError(
            f"{folder(stack) / 'stack.json'} cannot be used ({error}): run "
            f"'./pipeline init {stack}' again."
        ) from None
