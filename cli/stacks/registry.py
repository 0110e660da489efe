"""What `init` records of each cloud stack, outside git, in the user's data folder."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.errors import CommandError
from cli.paths import CHECKOUT
from local import private_file

#: What Pulumi accepts as a stack's name.
STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Record:
    """Where a stack's state and passphrase are.

    Attributes:
        backend: URL of the Pulumi backend.
        passphrase_file: Path of the file with the passphrase of the state's secrets.
    """

    backend: str
    passphrase_file: str


def data_folder() -> Path:
    """Return the folder of all records (XDG Base Directory Specification); worth a backup."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "image-pipeline"


def folder(stack: str) -> Path:
    """Return the folder with a stack's record, passphrase and known hosts."""
    return data_folder() / "stacks" / stack


def settings_file(stack: str) -> Path:
    """Return the stack's settings file in the checkout, where bare `pulumi` finds it too."""
    return CHECKOUT / f"Pulumi.{stack}.yaml"


def known() -> list[str]:
    """Return the names of all recorded stacks."""
    return sorted(path.parent.name for path in data_folder().glob("stacks/*/stack.json"))


def save(stack: str, record: Record) -> None:
    """Write a stack's record, replacing an earlier one."""
    private_file.write(folder(stack) / "stack.json", json.dumps(asdict(record), indent=2) + "\n")


def load(stack: str) -> Record:
    """Return a stack's record.

    Raises:
        CommandError: There is none, or it cannot be used.
    """
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
