"""The registry of transforms, and the protocol that each of them implements.

A transform is a folder beside this file: `transform.toml` describes it, `parameters.py` declares
its parameters, `__init__.py` is its code. Settings and the worker's parent process read the first
two only, with the standard library alone; `load` is for the sandboxed child, which then needs
whatever the code needs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import Any, Protocol, cast

from worker.errors import InvalidSettings

FOLDER = Path(__file__).parent
_DESCRIPTION, _PARAMETERS = "transform.toml", "parameters"
_VERSION_DIGITS = 16


@dataclass(frozen=True)
class Description:
    """What `transform.toml` says about a transform.

    Attributes:
        name: The name of its folder.
        summary: What it does, in one sentence.
        policy: How its process is confined; `picture` is the only one so far.
        output_key: The pattern of its results' keys, "" for the defaults (output_keys.py).
    """

    name: str
    summary: str
    policy: str
    output_key: str = ""


@dataclass(frozen=True)
class Input:
    """A file to transform.

    Attributes:
        path: Where it is.
        name: The last part of its object key.
        max_pixels: The most pixels that all its frames may have.
    """

    path: Path
    name: str
    max_pixels: int


@dataclass(frozen=True)
class Produced:
    """What a transform made of its inputs.

    Attributes:
        files: The results in order, each with its content type; all are in the folder given.
        records: JSON objects for the database.
        notes: What was dropped or changed on purpose, a phrase each.
        log: The end of what the transform printed.
    """

    files: Sequence[tuple[Path, str]] = ()
    records: Sequence[Mapping[str, object]] = ()
    notes: Sequence[str] = ()
    log: str = ""


@dataclass(frozen=True)
class Resource:
    """A file that a transform needs beside its code, such as a model.

    Attributes:
        name: What the transform calls it.
        location: `s3://BUCKET/KEY` or `hub://ORGANISATION/NAME@REVISION/FILE`.
        sha256: Of its content, in hex.
    """

    name: str
    location: str
    sha256: str


@dataclass(frozen=True)
class Resources:
    """What a transform's process can read beside its inputs.

    Attributes:
        folder: The pipeline's folder, as the user shipped it.
        files: The transform's resources, by name.
        secrets: The folder with a file for each secret of the pipeline.
    """

    folder: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    secrets: Path | None = None


class Transform(Protocol):
    """What a transform's code offers."""

    def apply(self, inputs: Sequence[Input], outputs: Path, parameters: Any, /) -> Produced:
        """Make the results of inputs.

        Args:
            inputs: The files; one, unless the pipeline gathers.
            outputs: An empty folder for the results.
            parameters: An instance of the transform's `Parameters`, None if it has none.

        Returns:
            What was made.

        Raises:
            InvalidInput: An input cannot be transformed, or not without losing data.
            UploadDeferred: Compiled parts that the input needs are not built yet.
        """


def names() -> tuple[str, ...]:
    """Return the names of all transforms, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{_DESCRIPTION}")))


@cache
def describe(name: str) -> Description:
    """Describe a transform.

    Args:
        name: The transform.

    Returns:
        What its `transform.toml` says.

    Raises:
        InvalidSettings: There is no such transform.
    """  # noqa: DOC502  raised by _folder
    import tomllib  # noqa: PLC0415  the child does without: it starts faster

    text = (_folder(name) / _DESCRIPTION).read_text("utf-8")
    return Description(name, **tomllib.loads(text))


@cache
def parameters_type(name: str) -> type | None:
    """Return the dataclass of a transform's parameters, None if it has none."""
    path = _folder(name) / f"{_PARAMETERS}.py"
    if not path.exists():
        return None
    # Loaded by its path: importing it as a submodule would run the transform's code first.
    spec = util.spec_from_file_location(f"{__name__}.{name}.{_PARAMETERS}", path)
    assert spec and spec.loader  # noqa: S101
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("type", module.Parameters)


def load(name: str) -> Transform:
    """Import a transform's code."""
    return cast("Transform", import_module(f"{__name__}.{_folder(name).name}"))


@cache
def version(name: str) -> str:
    """Return the first digits of the SHA-256 over a transform's files: their names and contents."""
    digest = hashlib.sha256()
    folder = _folder(name)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".c", ".h", ".toml"):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_VERSION_DIGITS]


def builder(name: str) -> Any:
    """Import the module that compiles a transform's parts.

    Args:
        name: The transform.

    Returns:
        None if there is nothing to compile. Otherwise a module with `build(folder)`, which returns
        the path of the library or raises OSError, and `prepare()`, which builds it for this process
        and returns None or a warning.
    """
    if not (_folder(name) / "build.py").exists():
        return None
    return import_module(f"{__name__}.{name}.build")


def _folder(name: str) -> Path:
    if name not in names():
        raise InvalidSettings([f"transform is {name!r}: choose one of {', '.join(names())}."])
    return FOLDER / name
