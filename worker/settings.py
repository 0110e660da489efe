"""worker.toml and the credentials beside it; all problems are reported at once.

Standard library only: the bootstrap reads the settings before any package is installed.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from worker.errors import InvalidSettings
from worker.transforms import TransformName

DEFAULT_PATH = Path("/etc/pipeline/worker.toml")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class StoreSettings:
    """The S3 endpoint and the three buckets."""

    endpoint: str
    input: str
    output: str
    quarantine: str
    region: str = ""


@dataclass(frozen=True)
class DatabaseSettings:
    """How libpq connects to the ledger; only `migrate` uses the role `admin`."""

    host: str
    name: str
    user: str
    admin: str
    port: int = 5432
    sslmode: str = "require"
    sslrootcert: str = ""
    sslcert: str = ""
    sslkey: str = ""


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        memory_mb: Address space of the process.
        cpu_seconds: CPU time.
        seconds: Wall-clock time.
        pixels: Pixels of all its frames.
    """

    memory_mb: int = 1024
    cpu_seconds: int = 120
    seconds: int = 120
    pixels: int = 250_000_000


@dataclass(frozen=True)
class Archive:
    """The worker's package in the quarantine bucket: its object key and SHA-256 in hex."""

    key: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Settings:
    """The contents of worker.toml, and the folders of credentials and of the worker's state."""

    pipeline: str
    transform: str
    machine: str
    store: StoreSettings
    database: DatabaseSettings
    limits: Limits
    archive: Archive
    credentials: Path = field(default=Path())
    state: Path = field(default=Path())

    def credential(self, name: str) -> str:
        """Return a secret.

        Args:
            name: The name of its file in the folder of credentials.

        Returns:
            The file's text without a final line break.

        Raises:
            InvalidSettings: The file cannot be read.
        """
        try:
            return (self.credentials / name).read_text().removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSettings([_credential_problem(self.credentials, name)]) from error


def load(path: Path, environment: Mapping[str, str], secrets: tuple[str, ...]) -> Settings:
    """Read the settings that a command needs.

    Args:
        path: worker.toml.
        environment: CREDENTIALS_DIRECTORY and STATE_DIRECTORY, as systemd sets them; without them
            the folders are beside worker.toml.
        secrets: The credentials that must be present.

    Returns:
        The settings.

    Raises:
        InvalidSettings: One sentence for each bad value and each missing credential.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise InvalidSettings(
            [f"The settings {path} cannot be read ({reason}): give their path with --settings."]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"The settings {path} are not TOML: {error}."]) from error
    folder = path.resolve().parent
    folders = {
        "credentials": Path(environment.get("CREDENTIALS_DIRECTORY") or folder / "credentials"),
        "state": Path(environment.get("STATE_DIRECTORY") or folder / "state"),
    }
    values, problems = _values(Settings, table, "")
    problems += [
        _credential_problem(folders["credentials"], name)
        for name in secrets
        if not _readable(folders["credentials"] / name)
    ]
    if problems:
        raise InvalidSettings(problems)
    settings = Settings(**(values | folders))
    problems = _semantic_problems(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def _values(kind: Any, table: object, prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a dataclass that a table sets, and what is wrong with the table."""
    if not isinstance(table, dict):
        name = prefix.rstrip(".")
        return {}, [f"{name} must be a table: write [{name}]."]
    known = {f.name: f for f in fields(kind) if f.type is not Path}
    values: dict[str, Any] = {}
    problems = [
        f"{prefix}{name} is not a setting: remove it or correct its name."
        for name in table
        if name not in known
    ]
    for name, item in known.items():
        if is_dataclass(item.type):
            inner, more = _values(item.type, table.get(name, {}), f"{prefix}{name}.")
            problems += more
            if not problems:
                values[name] = item.type(**inner)  # type: ignore[operator]
        elif name not in table:
            if item.default is MISSING:
                problems.append(f"{prefix}{name} is missing: set it.")
        elif type(table[name]) is not item.type:
            wanted = "a whole number" if item.type is int else "text in quotes"
            problems.append(f"{prefix}{name} is {table[name]!r}: it must be {wanted}.")
        elif table[name] == "" and item.default != "":
            problems.append(f"{prefix}{name} is empty: set it.")
        else:
            values[name] = table[name]
    return values, problems


def _semantic_problems(settings: Settings) -> list[str]:
    """Return what is wrong with values of the right types."""
    store, database = settings.store, settings.database
    problems: list[str] = []
    if settings.transform not in list(TransformName):
        known = ", ".join(TransformName)
        problems.append(f"transform is {settings.transform!r}: choose one of {known}.")
    if not store.endpoint.startswith(("http://", "https://")):
        problems.append(
            f"store.endpoint is {store.endpoint!r}: it must begin with https:// or http://."
        )
    if len({store.input, store.output, store.quarantine}) != 3:  # noqa: PLR2004
        problems.append(
            "store.input, store.output and store.quarantine must be three different buckets: "
            "the worker would process its own results."
        )
    if database.sslmode not in _SSL_MODES:
        problems.append(
            f"database.sslmode is {database.sslmode!r}: choose one of {', '.join(_SSL_MODES)}."
        )
    if not 0 < database.port <= _HIGHEST_PORT:
        problems.append(f"database.port is {database.port}: it must be from 1 to {_HIGHEST_PORT}.")
    if database.user == database.admin:
        problems.append(
            "database.user and database.admin must differ: the worker must not own its tables."
        )
    problems += [
        f"limits.{limit.name} is {getattr(settings.limits, limit.name)}: it must be above 0."
        for limit in fields(Limits)
        if getattr(settings.limits, limit.name) <= 0
    ]
    return problems


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_text().strip())
    except (OSError, UnicodeDecodeError):
        return False


def _credential_problem(folder: Path, name: str) -> str:
    return f"The credential {folder / name} is missing, empty or not readable: write it there."
