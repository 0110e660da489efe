"""The registry of transforms, and the protocol that each of them implements.

A transform is a folder beside this file: `transform.toml` describes it, `parameters.py` declares
its parameters, `resources.py` what it needs beside its code, `__init__.py` is its code. Or it is a
function of the user's own, `package.module:function`, in the folder of a pipeline (functions.py).
Settings and the worker's parent process read descriptions and declarations only, with the standard
library alone; `load` is for the confined process, which then needs whatever the code needs.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from worker.errors import InvalidSettings
from worker.transforms.parameters import read

if TYPE_CHECKING:
    from worker.transforms.functions import Declaration

FOLDER = Path(__file__).parent
_DESCRIPTION, _PARAMETERS, _RESOURCES = "transform.toml", "parameters", "resources"
_REQUIREMENTS = "requirements.txt"
_PICTURES = "pictures"  # what transforms of pictures share
_VERSION_DIGITS = 16
_CODE = (".py", ".c", ".h", ".toml", ".txt")
#: The file of a job's records beside its results, a JSON object per line; its most bytes.
RECORDS, MAX_RECORD_BYTES = "records.jsonl", 16 << 20
#: Policies: how the process of a transform is confined.
PICTURE, MODEL, COMMAND = "picture", "model", "command"


@dataclass(frozen=True)
class Description:
    """What `transform.toml` says about a transform.

    Attributes:
        name: The name of its folder, or `package.module:function`.
        summary: What it does, in one sentence.
        policy: How its process is confined: `picture`, `model` or `command`.
        output_key: The pattern of its results' keys, "" for the defaults (output_keys.py).
        memory_mb, cpu_seconds, seconds: Limits of a pipeline that sets none.
        gathers: Whether it takes several inputs at once.
        columns: Name -> SQL type of the columns that the view of its records has.
    """

    name: str
    summary: str
    policy: str
    output_key: str = ""
    memory_mb: int = 1024
    cpu_seconds: int = 120
    seconds: int = 120
    gathers: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """A file to transform.

    Attributes:
        path: Where it is.
        name: The last part of its object key; if the pipeline gathers, the key.
        max_pixels: The most pixels that all its frames may have.
        root: The folder of the job's inputs, which has nothing else; None if that is not known.
    """

    path: Path
    name: str
    max_pixels: int
    root: Path | None = None


@dataclass(frozen=True)
class Produced:
    """What a transform made of its inputs.

    Attributes:
        files: The results in order, each with its content type; all are in the folder given.
        records: JSON objects for the database.
        notes: What was dropped or changed on purpose, a phrase each.
        log: The end of what the transform printed.
        contents: Small results in memory, each with its content type; they follow `files`.
    """

    files: Sequence[tuple[Path, str]] = ()
    records: Sequence[Mapping[str, object]] = ()
    notes: Sequence[str] = ()
    log: str = ""
    contents: Sequence[tuple[bytes, str]] = ()

    @property
    def results(self) -> Sequence[tuple[Path | bytes, str]]:
        """All results in order, each with its content type."""
        return [*self.files, *self.contents]


@dataclass(frozen=True)
class Resource:
    """A file that a transform needs beside its code, such as a model.

    Attributes:
        name: What the transform calls it.
        location: `s3://BUCKET/KEY`, `hub://ORGANISATION/NAME@REVISION/FILE`, or a path below the
            pipeline's folder.
        sha256: Of its content, in hex; "" if a file of the folder is taken as it is.
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
    """What a transform's code offers.

    It may also have `start(parameters, resources: Resources) -> None`, which is called once in each
    process, before the first file.
    """

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


class Definition:
    """A transform as it can be known without importing its code; use `find`.

    Attributes:
        name: Its name.
        folder: The pipeline's folder, None if it has none.
    """

    def __init__(self, name: str, folder: Path | None) -> None:
        self.name, self.folder = name, folder
        self._declared = _declaration(name, folder) if is_function(name) else None
        self._own = None if self._declared else _folder(name)

    @cached_property
    def description(self) -> Description:
        """What is known about it."""
        found, declared = describe(self.name), self._declared
        if not declared:
            return found
        return replace(found, summary=declared.summary, gathers=declared.gathers)

    @cached_property
    def parameters_type(self) -> type | None:
        """The dataclass of its parameters, None if it has none."""
        if self._declared:
            return self._declared.parameters_type
        module = self._own and _by_path(self._own, _PARAMETERS)
        return cast("type", module.Parameters) if module else None

    def read(self, values: Mapping[str, object], shown: Callable[[object], str] = repr) -> Any:
        """Read parameters and check them against the folder; see `parameters.read`.

        A `Parameters` class may have `check(folder: Path | None)`, which raises ValueError with a
        sentence that begins with a parameter.

        Returns:
            An instance of `parameters_type`, or None.

        Raises:
            InvalidSettings: One sentence for each problem, which begins with a parameter.
        """
        found = read(self.parameters_type, values, shown)
        if self._own and (check := getattr(found, "check", None)):
            try:
                check(self.folder)
            except ValueError as error:
                raise InvalidSettings([str(error)]) from None
        return found

    def requirements(self, parameters: object) -> Path | None:
        """Return the locked requirements that a pipeline needs instead of the worker's packages.

        Args:
            parameters: An instance of `parameters_type`. Its `formats` are those of pictures that
                need further packages: a folder of that name has the requirements with them.

        Returns:
            Those of a format, else of the transform, else of the folder; None if it needs none.
        """
        folders = [one for one in (self._own, self.folder) if one]
        if self._own:
            named = getattr(parameters, "formats", ())
            formats = [base / name for name in named for base in (self._own, FOLDER / _PICTURES)]
            folders = [*formats, *folders]
        found = (folder / _REQUIREMENTS for folder in folders)
        return next((path for path in found if path.is_file()), None)

    def resources(self, parameters: object) -> Sequence[Resource]:
        """Return the files that the transform needs.

        Args:
            parameters: An instance of `parameters_type`.

        Returns:
            What its `resources.py` names, nothing without one.

        Raises:
            InvalidSettings: The parameters name something that cannot be a resource.
        """  # noqa: DOC502  raised by the transform's module
        module = self._own and _by_path(self._own, _RESOURCES)
        return cast("Sequence[Resource]", module.resources(parameters)) if module else ()


def is_function(name: str) -> bool:
    """Return whether a transform's name means a function of the user's."""
    return ":" in name


def names() -> tuple[str, ...]:
    """Return the names of all built-in transforms, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"*/{_DESCRIPTION}")))


@cache
def describe(name: str) -> Description:
    """Describe a transform, without the pipeline's folder.

    Args:
        name: The transform.

    Returns:
        What its `transform.toml` says; for a function what is true of all.

    Raises:
        InvalidSettings: There is no such transform.
    """  # noqa: DOC502  raised by _folder
    if is_function(name):
        return Description(name, "A function.", MODEL)
    import tomllib  # noqa: PLC0415  the child does without: it starts faster

    text = (_folder(name) / _DESCRIPTION).read_text("utf-8")
    return Description(name, **tomllib.loads(text))


def find(name: str, folder: Path | None = None) -> Definition:
    """Find a transform; its code is read at most, never run.

    Args:
        name: A built-in transform, or `package.module:function`.
        folder: The pipeline's folder, None if it has none.

    Returns:
        What can be known about it.

    Raises:
        InvalidSettings: There is no such transform, or its parameters cannot be read; each sentence
            begins with the name of a pipeline's setting.
    """  # noqa: DOC502  raised by Definition
    return Definition(name, folder)


def version(name: str, folder_sha256: str = "") -> str:
    """Return what identifies the code that makes the results.

    Args:
        name: The transform.
        folder_sha256: The hash of the pipeline's folder, as it was shipped.

    Returns:
        The first digits of a SHA-256 over the transform's files and that hash.

    Raises:
        InvalidSettings: There is no such transform.
    """  # noqa: DOC502  raised by _folder
    code = "" if is_function(name) else _hash(_folder(name))
    return hashlib.sha256(f"{code}\0{folder_sha256}".encode()).hexdigest()[:_VERSION_DIGITS]


def policy(
    description: Description,
    *,
    apt: Collection[str] = (),
    network: bool = False,
    allow: Collection[str] = (),
    secrets: Collection[str] = (),
) -> str:
    """Return how the process of a pipeline's transform is confined.

    Args:
        description: The transform's.
        apt: The pipeline's Debian packages.
        network: Whether it may use the network.
        allow: Private networks that it may reach.
        secrets: Its secrets.

    Returns:
        `picture`, `model` or `command`. A function is a `model`, unless it is given programs,
        network or secrets.
    """
    if is_function(description.name) and (apt or network or allow or secrets):
        return COMMAND
    return description.policy


def load(found: Definition) -> Transform:
    """Import a transform's code; a function's is imported when it is applied first.

    Args:
        found: The transform.

    Returns:
        The transform, which may also have `start` (see `Transform`).
    """
    if is_function(found.name):
        from worker.transforms.function_call import FunctionCall  # noqa: PLC0415

        assert found.folder  # noqa: S101  or `find` would have raised
        return FunctionCall(found.name, found.folder, gathers=found.description.gathers)
    return cast("Transform", import_module(f"{__name__}.{found.name}"))


def builder(name: str) -> Any:
    """Import the module that compiles a transform's parts.

    Args:
        name: The transform.

    Returns:
        None if there is nothing to compile. Otherwise a module with `build(folder)`, which returns
        the path of the library or raises OSError, and `prepare()`, which builds it for this process
        and returns None or a warning.
    """
    if is_function(name) or not (_folder(name) / "build.py").exists():
        return None
    return import_module(f"{__name__}.{name}.build")


def _declaration(name: str, folder: Path | None) -> "Declaration":
    from worker.transforms import functions  # noqa: PLC0415  `ast` costs a child's start 5 ms

    return functions.declaration(name, folder)


def _folder(name: str) -> Path:
    if name not in (known := names()):
        from difflib import get_close_matches  # noqa: PLC0415  not needed in the child

        near = get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InvalidSettings(
            [
                f"transform is {name!r}: set it to one of {', '.join(known)}{hint}, or to"
                " package.module:function of your folder."
            ]
        )
    return FOLDER / name


@cache
def _by_path(folder: Path, name: str) -> ModuleType | None:
    """Load a module of a transform by its path: an import would run the transform's code first."""
    path = folder / f"{name}.py"
    if not path.exists():
        return None
    spec = util.spec_from_file_location(f"{__name__}.{folder.name}.{name}", path)
    assert spec and spec.loader  # noqa: S101
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _hash(folder: Path) -> str:
    """Return a SHA-256 over a transform's files, and over those of pictures/ if it uses them."""
    digest = hashlib.sha256()
    folders = [folder]
    if any(f"{__name__}.{_PICTURES}".encode() in path.read_bytes() for path in folder.glob("*.py")):
        folders.append(FOLDER / _PICTURES)
    for path in sorted(path for each in folders for path in each.rglob("*")):
        if path.is_file() and path.suffix in _CODE:
            digest.update(f"{path.relative_to(FOLDER).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
