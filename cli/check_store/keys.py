"""Key pairs, from where nobody else can read them: never from the command line."""

import configparser
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import CommandError

ACCESS, SECRET = "aws_access_key_id", "aws_secret_access_key"
OWN, OTHER = "default", "other"
_SHAPE = (
    f"write a section [{OWN}] with the lines '{ACCESS} = …' and '{SECRET} = …', and where you have "
    f"a second owner's keys a section [{OTHER}] of the same shape"
)


@dataclass(frozen=True)
class Keys:
    """An access key and its secret."""

    access: str
    secret: str = field(repr=False)


def from_environment(environment: Mapping[str, str]) -> Keys:
    """AWS's own variables; raises CommandError where they are not set."""
    try:
        return Keys(environment[ACCESS.upper()], environment[SECRET.upper()])
    except KeyError as absent:
        raise CommandError(
            f"The environment has no {absent.args[0]}: set {ACCESS.upper()} and {SECRET.upper()}, "
            "or name a file of mode 0600 with --keys."
        ) from None


def from_file(path: Path) -> tuple[Keys, Keys | None]:
    """Our keys and another owner's, from a file as AWS's tools have it (`~/.aws/credentials`)."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"'{path}' cannot be read ({problem}): {_SHAPE}.") from None
    if stat.S_IMODE(mode) & 0o077 or path.stat().st_uid not in (os.geteuid(), 0):
        raise CommandError(
            f"'{path}' may be read by others (mode {stat.S_IMODE(mode):04o}): 'chmod 600 {path}' "
            "first."
        )
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
        own = parser[OWN]
        other = parser[OTHER] if parser.has_section(OTHER) else None
        return (
            Keys(own[ACCESS], own[SECRET]),
            None if other is None else Keys(other[ACCESS], other[SECRET]),
        )
    except (configparser.Error, KeyError):  # neither may quote the file: it holds secrets
        raise CommandError(f"'{path}' is not as expected: {_SHAPE}.") from None
