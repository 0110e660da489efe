"""The settings of an edge device: a TOML file, edge.toml.

Paths in it are relative to the file's folder; docs/cameras.md describes every key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

from worker.errors import InvalidSettings
from worker.transforms.parameters import Range, convert

_CAMERA = re.compile(r"[a-z][a-z0-9-]{0,19}")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_OTHERS = 0o007
_PORTS = Range(1, 65535)


@dataclass(frozen=True)
class Capture:
    """Which frames are looked at.

    Attributes:
        frames_per_second: The most of them, of the source's own time.
        real_time: Whether a video file or folder is read no faster than a camera would be.
        repeat: Whether a video file or folder begins again at its end.
        timeout_seconds: Without a frame for so long, a camera is opened again.
        max_pixels: The most pixels of a picture of a folder.
    """

    frames_per_second: Annotated[float, Range(0.01, 60)] = 2.0
    real_time: bool = True
    repeat: bool = False
    timeout_seconds: Annotated[float, Range(1, 600)] = 10.0
    max_pixels: Annotated[int, Range(1, 1_000_000_000)] = 100_000_000


@dataclass(frozen=True)
class Motion:
    """Frames without motion are skipped.

    Attributes:
        enabled: Whether they are; by default unless the source is a folder.
        changed: The least part of the picture that must change.
        hold_seconds: How long frames are looked at after the last motion.
    """

    enabled: bool | None = None
    changed: Annotated[float, Range(0, 1)] = 0.005
    hold_seconds: Annotated[float, Range(0, 3600)] = 2.0


@dataclass(frozen=True)
class Faces:
    """What is sent of a frame with faces.

    Attributes:
        send: `crops`, a picture of each face, or the whole `frame`.
        min_score, max_side, margin: As of the transform `faces`.
    """

    send: Literal["crops", "frame"] = "crops"
    min_score: Annotated[float, Range(0.05, 1)] = 0.5
    max_side: Annotated[int, Range(64, 4096)] = 640
    margin: Annotated[float, Range(0, 2)] = 0.2


@dataclass(frozen=True)
class Spool:
    """What is kept until the cloud has confirmed it.

    Attributes:
        folder: Where.
        max_mb: The most of it, in MB of 10^6 bytes.
        refused_mb: The most of pictures that the cloud has refused.
    """

    folder: str = "spool"
    max_mb: Annotated[int, Range(20, 10_000_000)] = 1000
    refused_mb: Annotated[int, Range(0, 1_000_000)] = 50


@dataclass(frozen=True)
class Broker:
    """The broker of this device.

    Attributes:
        host: Its address.
        port: Its port.
        password_file: A file with the password of the user `camera`, "" if it needs none.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, _PORTS] = 1883
    password_file: str = ""


@dataclass(frozen=True)
class Cloud:
    """The broker of the cloud, which `check` tries; the device's broker has its own settings.

    Attributes:
        address: HOST:PORT, "" if there is none.
        authority: A file with the certificate of the authority that signed the broker's.
        password_file: A file with the camera's password.
    """

    address: str = ""
    authority: str = "authority.pem"
    password_file: str = "password"  # noqa: S105  a file's name

    @property
    def host(self) -> str:
        """Its name or IP address."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True)
class Settings:
    """What edge.toml says.

    Attributes:
        camera: The camera's name in the stack's settings.
        source: A camera's index, a device, a URL, a video file or a folder of pictures.
        qos: 1: every picture is sent until the cloud has confirmed it; 0: once.
        quality: Of JPEGs.
        detect: `faces`: frames without a face are skipped; `none`: no frame is.
        capture, motion, faces, spool, broker, cloud: See there.
        base: The folder of the settings file.
    """

    camera: str
    source: str
    qos: Literal[0, 1] = 1
    quality: Annotated[int, Range(1, 100)] = 90
    detect: Literal["faces", "none"] = "faces"
    capture: Capture = field(default_factory=Capture)
    motion: Motion = field(default_factory=Motion)
    faces: Faces = field(default_factory=Faces)
    spool: Spool = field(default_factory=Spool)
    broker: Broker = field(default_factory=Broker)
    cloud: Cloud = field(default_factory=Cloud)
    base: Path = field(default=Path())

    def path(self, name: str) -> Path:
        """Return a path of the settings, which is relative to their file's folder."""
        return self.base / name

    @property
    def spool_folder(self) -> Path:
        """The folder of the spool; systemd's `StateDirectory=` is where a relative one is."""
        return Path(os.environ.get("STATE_DIRECTORY") or self.base) / self.spool.folder


def load(path: Path) -> Settings:
    """Read the settings.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        InvalidSettings: One sentence for each problem.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        mode = path.stat().st_mode
    except OSError as error:
        raise InvalidSettings(
            [f"{path}: {error.strerror}; name the settings' file with --settings."]
        ) from None
    except UnicodeDecodeError:
        raise InvalidSettings([f"{path} is not UTF-8: write it again as text."]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings([f"{path} is not TOML: {error}."]) from None
    if isinstance(values.get("source"), int) and not isinstance(values["source"], bool):
        values["source"] = str(values["source"])
    made, problems = _read(Settings, values, "")
    if not problems:
        settings = Settings(**made, base=path.resolve().parent)
        problems = _problems(settings)
        if url_parts(settings.source).password and mode & _OTHERS:
            problems.append(
                f"{path} has the password of a camera and every user can read it:"
                f" chmod 640 {path.name}."
            )
    if problems:
        raise InvalidSettings(problems)
    return settings


def read_secret(path: Path) -> str:
    """Return the password that a file holds.

    Args:
        path: The file.

    Returns:
        Its first line.

    Raises:
        InvalidSettings: It cannot be read, or is empty.
    """
    try:
        first, *_ = [*path.read_text("utf-8").splitlines(), ""]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidSettings([f"The password file {path} cannot be read: {reason}."]) from None
    if not first:
        raise InvalidSettings([f"The password file {path} is empty: write the password into it."])
    return first


def url_parts(source: str) -> Any:
    """Return the parts of a URL; those of any other source are empty."""
    try:
        return urlsplit(source if "://" in source else "")
    except ValueError:
        return urlsplit("")


def _read(kind: Any, values: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a dataclass's fields, and what is wrong with them."""
    hints = get_type_hints(kind, include_extras=True)
    known = {one.name: one for one in fields(kind) if one.name != "base"}
    problems = []
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            remedy = f"did you mean {prefix}{near[0]}?" if near else f"use {', '.join(known)}."
            problems.append(f"{prefix}{name} is not a setting: {remedy}")
    made: dict[str, Any] = {}
    for name, one in known.items():
        full = f"{prefix}{name}"
        if is_dataclass(hints[name]):
            inner = values.get(name, {})
            if not isinstance(inner, dict):
                problems.append(f"{full} must be a table: write [{full}] and its keys below it.")
                continue
            parts, more = _read(hints[name], inner, f"{full}.")
            problems += more
            if not more:
                made[name] = hints[name](**parts)
        elif name in values:
            try:
                made[name] = convert(hints[name], values[name])
            except ValueError as error:
                problems.append(f"{full} is {values[name]!r}: set it to {error}.")
        elif one.default is MISSING:
            problems.append(f"{full} is missing: set it to {_EXAMPLES[name]}.")
    return made, problems


_EXAMPLES = {
    "camera": "the camera's name in the stack's settings, such as \"door\"",
    "source": 'a camera\'s index (0), "/dev/video0", "rtsp://…", a video file or a folder',
}


def _problems(settings: Settings) -> list[str]:
    """Return what is wrong with values of the right types."""
    problems = []
    if not _CAMERA.fullmatch(settings.camera):
        problems.append(
            f"camera is {settings.camera!r}: it must begin with a-z and have at most 20 of"
            " a-z, 0-9 and -."
        )
    if not settings.source:
        problems.append(f"source is empty: set it to {_EXAMPLES['source']}.")
    if address := settings.cloud.address:
        found = _ADDRESS.fullmatch(address)
        if not found or not _PORTS.low <= int(found[2]) <= _PORTS.high:
            problems.append(
                f"cloud.address is {address!r}: set it to HOST:PORT, such as 192.0.2.7:8883."
            )
    return problems
