"""Access keys from the environment or a private file; the command line is visible to others."""

import configparser
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import CommandError

_ACCESS, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_OWN, _OTHER = "default", "other"
_FORMAT = (
    f"write a section [{_OWN}] with the lines '{_ACCESS} = …' and '{_SECRET} = …', and, if you "
    f"have a second owner's keys, a section [{_OTHER}] of the same form"
)


@dataclass(frozen=True)
class Credentials:
    """An access key and its secret."""

    access: str
    secret: str = field(repr=False)


def from_environment(environment: Mapping[str, str]) -> Credentials:
    """Read AWS's environment variables.

    Returns:
        The credentials.

    Raises:
        CommandError: One is not set.
    """
    try:
        return Credentials(environment[_ACCESS.upper()], environment[_SECRET.upper()])
    except KeyError as missing:
        raise CommandError(
            f"{missing.args[0]} is not set: set {_ACCESS.upper()} and {_SECRET.upper()}, or name a "
            "file of mode 0600 with --keys."
        ) from None


def from_file(path: Path) -> tuple[Credentials, Credentials | None]:
    """Read credentials from a file in the format of ~/.aws/credentials.

    Returns:
        Our credentials, and another owner's if there are any.

    Raises:
        CommandError: The file cannot be read, can be read by others, or has another format.
    """
    try:
        status = path.stat()
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"'{path}' cannot be read ({problem}): {_FORMAT}.") from None
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
        raise CommandError(
            f"'{path}' can be read by others (mode {mode:04o}): 'chmod 600 {path}' first."
        )
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
        own = _credentials(parser[_OWN])
        other = _credentials(parser[_OTHER]) if parser.has_section(_OTHER) else None
    except (configparser.Error, KeyError):  # neither may quote the file: it holds secrets
        raise CommandError(f"'{path}' has another format: {_FORMAT}.") from None
    return own, other


def _credentials(section: configparser.SectionProxy) -> Credentials:
    return Credentials(section[_ACCESS], section[_SECRET])
