"""The setting `pipelines`: a map of names to what each pipeline reads, does and writes."""

import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from clients import archive
from infra.errors import InvalidSettings
from infra.names import FIRST_PIPELINE
from infra.settings import structured
from infra.settings.declared import defaults
from infra.settings.fields import BucketName, Cidr
from infra.settings.structured import Model, Name, checked
from worker import errors, transforms
from worker.transforms import output_keys, pipeline_faults

#: What a stack has that defines none.
DEFAULT = {FIRST_PIPELINE: {"transform": "negate"}}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")  # deb-version(7)
_IGNORED = (".DS_Store", "Thumbs.db", "desktop.ini", "._*")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
#: Stands for a value that is not known here, or must not be shown.
SECRET = "[secret]"  # noqa: S105


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _matching(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValueError(f"is {text!r}, which is not {what}.")

    return checked(check)


def _transform(name: str) -> None:
    try:
        transforms.describe(name)
    except errors.InvalidSettings as error:
        raise ValueError(str(error).removeprefix("transform ")) from None


class Limits(Model):
    """What one file may cost; None for the default of the transform or the worker."""

    memory_mb: Annotated[int, Field(ge=64, le=1_000_000)] | None = None
    cpu_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    pixels: Annotated[int, Field(ge=1, le=10**12)] | None = None


class Pipeline(Model):
    """A pipeline as the settings define it; bucket names are "" for the default."""

    transform: Annotated[str, checked(_transform), Field(description=transforms.names()[0])]
    parameters: dict[str, Any] = Field(default={}, repr=False)
    sources: Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(alias="from")] = ()
    gather: bool = False
    input_bucket: BucketName = ""
    output_bucket: BucketName = ""
    output_key: Annotated[str, checked(lambda text: text and output_keys.check(text))] = ""
    keep_inputs: bool = False
    limits: Limits = Limits()
    ignore: tuple[Annotated[str, Field(min_length=1)], ...] = _IGNORED
    folder: str = ""
    apt: tuple[Annotated[str, _matching(_PACKAGE, "a Debian package: write its name")], ...] = ()
    network: bool = False
    allow: tuple[Cidr, ...] = ()
    secrets: tuple[
        Annotated[str, _matching(_FILE_NAME, "a file's name: use a-z, 0-9, - and _")], ...
    ] = ()


class _Pipelines(Model):
    pipelines: dict[Name, Pipeline]


def read(value: object, secrets: Mapping[str, bool] | None = None) -> dict[str, Pipeline]:
    """Read the setting.

    Args:
        value: The map; leaves may be `{secure: …}`, as a stack's file has secrets.
        secrets: The stack's other settings -> whether each is secret; None: not known here.

    Returns:
        Name -> pipeline, in the order of the map; the default for an empty one.

    Raises:
        InvalidSettings: One sentence for each fault, which begins with the path of the value.
    """
    if value in (None, "", {}):
        value = DEFAULT
    hide = bool(secrets and secrets.get("pipelines"))  # which of its values is not known
    shown = (lambda _: SECRET) if hide else repr
    if not isinstance(value, dict):
        raise InvalidSettings([f"pipelines is {shown(value)}: write a map NAME: {{transform: …}}."])
    value = {str(name): _masked(entry) for name, entry in value.items()}
    found = structured.read(_Pipelines, {"pipelines": value}, shown).pipelines
    faults = []
    for name, pipeline in found.items():
        path = f"pipelines.{name}"
        faults += [f"{path}.{fault}" for fault in _of_one(pipeline, found, secrets, shown)]
        if name in _ancestors(name, found):
            faults.append(f"{path}.from leads back to {name}: remove it from the loop.")
    faults += shared_buckets(chosen_buckets(found))
    if faults:
        raise InvalidSettings(faults)
    return found


def readers(name: str, pipelines: Mapping[str, Pipeline]) -> list[str]:
    """Return the pipelines that read a pipeline's results."""
    return [other for other, each in pipelines.items() if name in each.sources]


def _masked(value: Any) -> Any:
    """Put SECRET for what a file holds encrypted: the engine hands it over decrypted."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_secret = value.keys() == {"secure"}
    return SECRET if is_secret else {key: _masked(item) for key, item in value.items()}


def is_known(value: object) -> bool:
    """Return whether no part of a value stands for a secret."""
    return json.dumps(SECRET) not in json.dumps(value)


def _of_one(
    pipeline: Pipeline,
    known: Mapping[str, Pipeline],
    secrets: Mapping[str, bool] | None,
    shown: Callable[[object], str],
) -> Iterator[str]:
    folder = archive.located(pipeline.folder) if pipeline.folder else None
    unknown = [name for name, value in pipeline.parameters.items() if not is_known(value)]
    yield from pipeline_faults.faults(pipeline.model_dump(), folder, unknown, shown)
    for source in dict.fromkeys(pipeline.sources):
        if source not in known:
            others = ", ".join(name for name, each in known.items() if each is not pipeline)
            remedy = f"name one of {others}" if others else "remove it"
            yield f"from is {source!r}, which is not a pipeline: {remedy}."
        if pipeline.sources.count(source) > 1:
            yield f"from has {source!r} twice: name it once."
    for name in pipeline.secrets:
        if name in defaults():
            yield f"secrets has {name!r}, which is a setting of this program: choose another name."
        elif secrets is not None and not secrets.get(name):
            yield (
                f"secrets has {name!r}, which is not a secret setting of this stack: set it with"
                f" `pulumi config set --secret {name}`."
            )


def _ancestors(name: str, known: Mapping[str, Pipeline]) -> set[str]:
    found: set[str] = set()
    pending = [name]
    while pending:
        new = {*known[pending.pop()].sources} & known.keys() - found
        found |= new
        pending += new
    return found


def chosen_buckets(pipelines: Mapping[str, Pipeline]) -> dict[str, str]:
    """Return path of the key -> name of the pipelines' buckets, "" for the default."""
    found = {}
    for name, each in pipelines.items():
        found[f"pipelines.{name}.inputBucket"] = each.input_bucket
        found[f"pipelines.{name}.outputBucket"] = each.output_bucket
    return found


def shared_buckets(chosen: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each bucket that is chosen twice."""
    owners: dict[str, str] = {}
    for path, bucket in chosen.items():
        if bucket and (other := owners.setdefault(bucket, path)) != path:
            yield (
                f"{path} and {other} are both {bucket!r}: give each its own bucket, or results"
                " would be processed again."
            )


def definition(pipeline: Pipeline, folder_sha256: str, key: str) -> dict[str, Any]:
    """Return what is deployed of a pipeline's keys, for a comparison.

    Parameters may be secret: there is an HMAC of each under `key`, None if its value is not known.
    """

    def code(value: object) -> str | None:
        if not is_known(value):
            return None
        # The engine hands over 1.0 as 1.
        exact = json.loads(json.dumps(value), parse_int=float)
        return hmac.new(key.encode(), json.dumps(exact).encode(), "sha256").hexdigest()

    found = pipeline.model_dump(mode="json", by_alias=True, exclude_none=True)
    codes = {name: code(value) for name, value in pipeline.parameters.items()}
    return {**found, "parameters": codes, "folder": folder_sha256}
