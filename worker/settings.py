"""worker.toml and the credentials beside it; all problems are reported at once.

Standard library only: the bootstrap reads the settings before any package is installed.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from worker.errors import InvalidSettings

DEFAULT_PATH = Path("/etc/pipeline/worker.toml")
#: Credential of a role's password -> of its client certificate and key, PEM in one file.
CERTIFICATES = {
    "database-password": "database-certificate",
    "database-admin-password": "database-admin-certificate",
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_HIGHEST_PORT = 65535
_MAX_WAIT_SECONDS = 3600
_IGNORED = (".DS_Store", "Thumbs.db", "desktop.ini", "._*")


@dataclass(frozen=True)
class StoreSettings:
    """The S3 endpoint and the buckets that all pipelines share.

    Attributes:
        endpoint: The store's URL.
        quarantine: The bucket of uploads that cannot be transformed.
        archive: The bucket of kept inputs, "" unless a pipeline keeps them.
        region: The region that requests are signed for, "" for the usual one.
    """

    endpoint: str
    quarantine: str
    archive: str = ""
    region: str = ""


@dataclass(frozen=True)
class DatabaseSettings:
    """How libpq connects to the ledger; only `migrate` uses the role `admin`.

    With `client_certificate` each role has a credential with its certificate and key, and may have
    an empty password.
    """

    host: str
    name: str
    user: str
    admin: str
    port: int = 5432
    sslmode: str = "require"
    sslrootcert: str = ""
    client_certificate: bool = False


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
class Package:
    """A package in the quarantine bucket, "" for none: its object key and SHA-256 in hex."""

    key: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Pipeline:
    """One pipeline: what it reads, does, and writes.

    Attributes:
        name: Its name, from the table's.
        transform: What is done to each upload.
        input: The bucket that it reads.
        output: The bucket of its results.
        parameters: The transform's parameters: a JSON object. They may be secret.
        output_key: How results are named (worker/transforms/output_keys.py), "" for the transform's
            default.
        output_adopted: Whether the stack did not create the bucket of its results.
        keep_inputs: Whether inputs are kept in the archive bucket.
        ignore: Globs of the keys that are left alone.
        sources: The pipelines whose results it reads.
        readers: The pipelines that read its results.
        gather: Whether it has one job per run of its sources.
        folder: The user's folder that the transform can read.
        apt: Debian packages with the programs that the transform starts.
        network: Whether the transform may use the network.
        allow: Private networks that it may then reach, as CIDR.
        secrets: Names of the secrets that it can read.
        limits: What one file may cost.
    """

    name: str
    transform: str
    input: str
    output: str
    parameters: str = "{}"
    output_key: str = ""
    output_adopted: bool = False
    keep_inputs: bool = False
    ignore: tuple[str, ...] = _IGNORED
    sources: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    gather: bool = False
    folder: Package = field(default_factory=Package)
    apt: tuple[str, ...] = ()
    network: bool = False
    allow: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Web:
    """The page and the upload API.

    Attributes:
        enabled: Whether this machine serves them.
        port: Of the loopback interface.
        domain: The name under which the upload API is reached from outside, "" for none.
        exposed: Whether the upload API is reached from outside.
        token_round: Another number makes another upload token.
        max_file_mb: The largest file, in MB of 10^6 bytes.
        max_files: The most files of one request.
        max_per_minute: The most requests that upload, in a minute.
    """

    enabled: bool = True
    port: int = 8700
    domain: str = ""
    exposed: bool = False
    token_round: int = 1
    max_file_mb: int = 5368
    max_files: int = 1000
    max_per_minute: int = 6000

    @property
    def max_file_bytes(self) -> int:
        """The largest file in bytes."""
        return self.max_file_mb * 10**6


@dataclass(frozen=True)
class Camera:
    """A camera that sends messages to this machine's broker, and the pipeline that gets them."""

    name: str
    pipeline: str


@dataclass(frozen=True)
class Settings:
    """The contents of worker.toml, and the folders of credentials and of the worker's state.

    Attributes:
        stack: The stack's name.
        machine: This machine's name.
        store: The object store.
        database: The ledger's database.
        package: The worker's own code.
        pipelines: By name.
        web: The page and the upload API.
        cameras: By name; without any, the machine has no broker.
        grace_seconds: How long a processed upload stays in its bucket at least, from when it was
            listed first: clients look at what they have just uploaded.
        empty_seconds: How long an empty object waits for its content.
        credentials: The folder of secrets.
        state: The folder of the worker's files.
        prepared: The folder of what pipelines need to run: their folders, packages and models.
        secrets: The folder of the pipeline's own secrets, empty where systemd gives them to a job.
    """

    stack: str
    machine: str
    store: StoreSettings
    database: DatabaseSettings
    package: Package
    pipelines: Mapping[str, Pipeline]
    web: Web = field(default_factory=Web)
    cameras: Mapping[str, Camera] = field(default_factory=dict)
    grace_seconds: int = 2
    empty_seconds: int = 60
    credentials: Path = field(default=Path())
    state: Path = field(default=Path())
    prepared: Path = field(default=Path())
    secrets: Path = field(default=Path())

    def chosen(self, name: str | None) -> Pipeline:
        """Return a pipeline.

        Args:
            name: Its name; None for the only one.

        Returns:
            The pipeline.

        Raises:
            InvalidSettings: There is none of this name, or there are several.
        """
        known = ", ".join(self.pipelines)
        if name is None and len(self.pipelines) == 1:
            return next(iter(self.pipelines.values()))
        if name is None:
            raise InvalidSettings([f"The stack has several pipelines ({known}): give --pipeline."])
        if name not in self.pipelines:
            raise InvalidSettings([f"There is no pipeline {name!r}: choose one of {known}."])
        return self.pipelines[name]

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
        environment: CREDENTIALS_DIRECTORY and STATE_DIRECTORY, as systemd sets them, and
            PREPARED_DIRECTORY; without them the folders are beside worker.toml. SECRETS_DIRECTORY
            has the pipeline's own secrets where systemd does not give them to its jobs.
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
        "prepared": Path(environment.get("PREPARED_DIRECTORY") or folder / "prepared"),
        "secrets": Path(environment.get("SECRETS_DIRECTORY") or ""),
    }
    values, problems = _values(Settings, table, "")
    if (database := values.get("database")) and database.client_certificate:
        secrets = tuple(CERTIFICATES.get(name, name) for name in secrets)
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
        elif item.type == Mapping[str, Pipeline]:
            values[name], more = _named(Pipeline, table.get(name, {}), name)
            problems += more
            if not (values[name] or more):
                problems.append("There is no pipeline: write a table [pipelines.NAME] for each.")
        elif item.type == Mapping[str, Camera]:
            values[name], more = _named(Camera, table.get(name, {}), name)
            problems += more
        elif name not in table:
            if item.default is MISSING:
                problems.append(f"{prefix}{name} is missing: set it.")
        else:
            values[name], problem = _value(table[name], item.type)
            if problem:
                problems.append(f"{prefix}{name} is {table[name]!r}: it must be {problem}.")
            elif table[name] == "" and item.default != "":
                problems.append(f"{prefix}{name} is empty: set it.")
    return values, problems


def _value(value: object, kind: Any) -> tuple[Any, str | None]:
    """Return a value of a field's type, or what it must be."""
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(type(one) is str for one in value):
            return tuple(value), None
        return None, "a list of texts"
    wanted = {int: "a whole number", bool: "true or false", str: "text in quotes"}[kind]
    return (value, None) if type(value) is kind else (None, wanted)


def _named(kind: Any, tables: object, prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Return objects of a dataclass by name, and what is wrong with their tables."""
    if not isinstance(tables, dict):
        return {}, [f"{prefix} must be a table: write [{prefix}.NAME] for each."]
    made, problems = {}, []
    for name, table in tables.items():
        named = {**table, "name": name} if isinstance(table, dict) else table
        values, more = _values(kind, named, f"{prefix}.{name}.")
        problems += more
        if not more:
            made[name] = kind(**values)
    return made, problems


def _semantic_problems(settings: Settings) -> list[str]:
    """Return what is wrong with values of the right types."""
    store, database = settings.store, settings.database
    problems: list[str] = []
    if not store.endpoint.startswith(("http://", "https://")):
        problems.append(
            f"store.endpoint is {store.endpoint!r}: it must begin with https:// or http://."
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
        f"{name} is {value}: it must be from 0 to {_MAX_WAIT_SECONDS}."
        for name in ("grace_seconds", "empty_seconds")
        if not 0 <= (value := getattr(settings, name)) <= _MAX_WAIT_SECONDS
    ]
    for pipeline in settings.pipelines.values():
        problems += _pipeline_problems(settings, pipeline)
    problems += [
        f"cameras.{camera.name}.pipeline names {camera.pipeline!r}: there is no table "
        f"[pipelines.{camera.pipeline}]."
        for camera in settings.cameras.values()
        if camera.pipeline not in settings.pipelines
    ]
    return problems + _bucket_problems(settings)


def _pipeline_problems(settings: Settings, pipeline: Pipeline) -> list[str]:
    prefix = f"pipelines.{pipeline.name}."
    problems = [
        f"{prefix}limits.{limit.name} is {getattr(pipeline.limits, limit.name)}: it must be "
        "above 0."
        for limit in fields(Limits)
        if getattr(pipeline.limits, limit.name) <= 0
    ]
    problems += [
        f"{prefix}{what} names {name!r}: there is no table [pipelines.{name}]."
        for what in ("sources", "readers")
        for name in getattr(pipeline, what)
        if name not in settings.pipelines
    ]
    if not _is_json_object(pipeline.parameters):  # the value may be secret
        problems.append(f"{prefix}parameters must be a JSON object as text.")
    if pipeline.gather and not pipeline.sources:
        problems.append(f"{prefix}gather needs pipelines to gather from: set sources.")
    if bool(pipeline.folder.key) != bool(pipeline.folder.sha256):
        problems.append(f"{prefix}folder needs both: set key and sha256.")
    if pipeline.keep_inputs and not settings.store.archive:
        problems.append(f"{prefix}keep_inputs needs a bucket: set store.archive.")
    return problems


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _bucket_problems(settings: Settings) -> list[str]:
    """Return a sentence for each bucket that has two uses."""
    uses: dict[str, list[str]] = {}
    store = settings.store
    for name, bucket in (("store.quarantine", store.quarantine), ("store.archive", store.archive)):
        uses.setdefault(bucket, []).append(name)
    for pipeline in settings.pipelines.values():
        for role in ("input", "output"):
            uses.setdefault(getattr(pipeline, role), []).append(f"pipelines.{pipeline.name}.{role}")
    return [
        f"{' and '.join(names)} must be different buckets: the worker would process its own "
        "results."
        for bucket, names in uses.items()
        if bucket and len(names) > 1
    ]


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_text().strip())
    except (OSError, UnicodeDecodeError):
        return False


def _credential_problem(folder: Path, name: str) -> str:
    return f"The credential {folder / name} is missing, empty or not readable: write it there."
