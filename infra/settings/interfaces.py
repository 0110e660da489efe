"""The settings `web`, `upload`, `mqtt` and `rotation`: ways into pipelines, and their secrets."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from infra.errors import InvalidSettings
from infra.settings import structured
from infra.settings.fields import Boolean, ClientRanges, whole_number
from infra.settings.pipelines import Pipeline
from infra.settings.structured import Model, Name, checked
from worker.broker import INGEST_USER
from worker.settings import Web

#: Labels of a host name (RFC 1123, section 2.1), at least two, and no address.
_DOMAIN = re.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])"
)
#: 5 GiB, the largest object of a single PUT, in MB of 10^6 bytes.
_LARGEST_MB = 5369
_ROUNDS = 1_000_000


def _domain(text: str) -> None:
    if not _DOMAIN.fullmatch(text):
        raise ValueError(
            f"is {text!r}, which is not a domain name: write one such as upload.example.org, or"
            " remove it."
        )


def _camera(text: str) -> None:
    if text == INGEST_USER:
        raise ValueError("is the broker's own user: choose another name.")


def _rounds(value: object) -> object:
    """Return a map for an integer, the round of what the program made before it had cameras."""
    if isinstance(value, dict):
        return value
    text = str(value).strip()
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= _ROUNDS:
        raise ValueError(
            f"is {value!r}: set it to a whole number from 1 to {_ROUNDS}, or to a map of keys,"
            " passwords, uploadToken and cameras."
        )
    return {"keys": text, "passwords": text}


_Round = Annotated[int, whole_number(1, _ROUNDS)]
_Set = BeforeValidator(lambda value: value or None)  # an empty map is the default
_Ranges = Annotated[ClientRanges, Field(min_length=1, description="[192.0.2.0/24]")]


class Upload(Model):
    """The upload API as it is open to the outside."""

    cidrs: _Ranges
    domain: Annotated[str, checked(_domain)] = ""
    max_file_mb: Annotated[int, whole_number(1, _LARGEST_MB)] = Web.max_file_mb
    max_files: Annotated[int, whole_number(1, 100_000)] = Web.max_files
    max_per_minute: Annotated[int, whole_number(1, 1_000_000)] = Web.max_per_minute


class Camera(Model):
    """A camera, and the pipeline of its pictures."""

    pipeline: Annotated[str, Field(description="the name of a pipeline")]


class Mqtt(Model):
    """The broker as it is open to the outside, and its cameras."""

    cidrs: _Ranges
    cameras: Annotated[
        dict[Annotated[Name, checked(_camera)], Camera],
        Field(min_length=1, description="door: {pipeline: NAME}"),
    ]


class Rotation(Model):
    """Rounds of the secrets that the program makes: another number makes another secret."""

    keys: _Round = 1
    passwords: _Round = 1
    upload_token: _Round = 1
    cameras: dict[str, _Round] = Field(default={})


class Interfaces(Model):
    """The ways into pipelines besides the object store."""

    web: Boolean = True
    upload: Annotated[Upload | None, _Set, Field(description="{cidrs: [192.0.2.0/24]}")] = None
    mqtt: Annotated[
        Mqtt | None,
        _Set,
        Field(description="{cidrs: [192.0.2.0/24], cameras: {door: {pipeline: NAME}}}"),
    ] = None
    rotation: Annotated[Rotation, BeforeValidator(_rounds)] = Rotation()

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """The cameras by name."""
        return self.mqtt.cameras if self.mqtt else {}


def read(values: Mapping[str, str], pipelines: Mapping[str, Pipeline]) -> Interfaces:
    """Read the four settings.

    Args:
        values: All settings, as the engine hands them over.
        pipelines: Those of the stack; none if they are invalid.

    Returns:
        What the settings say.

    Raises:
        InvalidSettings: One sentence for each fault, which begins with the path of the value.
    """
    value: dict[str, Any] = {
        name: structured.parse(values[name]) for name in ("upload", "mqtt", "rotation")
    }
    if not isinstance(value["rotation"], dict):
        value["rotation"] = values["rotation"]
    found = structured.read(Interfaces, {**value, "web": values["web"]})
    if faults := [*_violations(found, pipelines)]:
        raise InvalidSettings(faults)
    return found


def _violations(found: Interfaces, pipelines: Mapping[str, Pipeline]) -> Iterator[str]:
    if found.upload and not found.web:
        yield (
            "upload is set, but web is false, and the page's service takes the uploads: set web to"
            " true, or remove upload."
        )
    first = ", ".join(name for name, each in pipelines.items() if not each.sources)
    for name, camera in found.cameras.items() if pipelines else ():
        path, pipeline = f"mqtt.cameras.{name}.pipeline", pipelines.get(camera.pipeline)
        if pipeline is None:
            yield f"{path} is {camera.pipeline!r}, which is not a pipeline: name one of {first}."
        elif pipeline.sources:
            yield (
                f"{path} is {camera.pipeline!r}, which reads results of"
                f" {', '.join(pipeline.sources)}: name one of {first}."
            )
    for name in found.rotation.cameras:
        if name not in found.cameras:
            known = ", ".join(found.cameras)
            remedy = f"name one of {known}, or remove it" if known else "remove it"
            yield f"rotation.cameras has {name!r}, which is not a camera of mqtt: {remedy}."
