"""`python -m worker apply` and `build`: transforms in this process, on files of this computer."""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import transforms
from worker.errors import InvalidInput, InvalidSettings, ServiceUnavailable, UploadDeferred
from worker.sandbox.input_names import input_paths
from worker.sandbox.job_paths import without_folder
from worker.settings import Limits
from worker.transforms import Definition, Input, Produced, Resources, Transform
from worker.transforms.output_keys import output_keys

_RUN = "run"  # stands for a run's id in the names of results


class Trial:
    """A transform that is tried without a stack: unconfined, in this process.

    Args:
        name: The transform.
        values: Its parameters by name in camelCase.
        folder: What a pipeline has as `folder`.
        gather: Whether all files are one job.

    Raises:
        InvalidSettings: There is no such transform, or a parameter is wrong.
        ServiceUnavailable: A package, a program or a model is missing.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, object],
        folder: Path | None = None,
        *,
        gather: bool = False,
    ) -> None:
        if folder and not folder.is_dir():
            raise InvalidSettings([f"folder is {str(folder)!r}, which is not a folder: name one."])
        found = self._definition = transforms.find(name, folder and folder.resolve())
        self.gather = gather
        if gather and not found.description.gathers:
            raise InvalidSettings([f"{name} takes one file: try it without --gather."])
        self._parameters = found.read(values)
        self._transform = _load(found)
        if start := getattr(self._transform, "start", None):
            start(self._parameters, _resources(found, self._parameters))

    def run(self, sources: Sequence[Path], work: Path) -> Produced:
        """Transform the files of one job.

        Args:
            sources: The files; one, unless it gathers.
            work: An empty folder for copies of the files, and for results.

        Returns:
            What was made.

        Raises:
            InvalidInput: A file cannot be transformed.
            UploadDeferred: Compiled parts that a file needs are not built.
            OSError: A file cannot be read, or its copy not be written.
        """  # noqa: DOC502  raised by what it calls
        names = [source.name for source in sources]
        work = work.resolve()
        root, outputs = work / "in", work / "out"
        root.mkdir(parents=True)
        outputs.mkdir()
        inputs = []
        for source, name, path in zip(sources, names, input_paths(names), strict=True):
            shutil.copyfile(source, root / path)
            inputs.append(Input(root / path, name, Limits().pixels, root))
        try:
            return self._transform.apply(inputs, outputs, self._parameters)
        except InvalidInput as error:
            is_missing = isinstance(error.__cause__, ModuleNotFoundError)
            remedy = _install(self._definition, self._parameters) if is_missing else ""
            raise InvalidInput(without_folder(str(error), work) + remedy) from error

    def keys(self, source: Path, produced: Produced) -> list[str]:
        """Return the names that a pipeline gives to results, without the prefix of the input's key.

        Raises:
            InvalidInput: There are more results than the transform's pattern can name.
        """  # noqa: DOC502  raised by output_keys
        types = [content_type for _, content_type in produced.results]
        return output_keys(self._definition.description.output_key, source.name, types, _RUN)


def apply(
    trial: Trial, sources: Sequence[Path], destination: Path, *, is_folder: bool
) -> list[str]:
    """Transform files; one that fails does not stop the others, and leaves no partial result.

    Prints records to standard output, a JSON object per line, and notes to standard error.

    Args:
        trial: The transform.
        sources: The files.
        destination: A folder, where results get the names that a pipeline would give them, or, for
            a single source with a single result, that result.
        is_folder: Whether it is a folder also where it is not there yet. It is created then, and
            if there are several jobs.

    Returns:
        A sentence for each file that could not be transformed.

    Raises:
        ServiceUnavailable: The results cannot be written there, and nothing was done; or a program
            cannot be started.
    """
    jobs = [sources] if trial.gather else [[source] for source in sources]
    if len({source.name for source in sources}) < len(sources):
        raise ServiceUnavailable(
            "Two of the files have the same name, so one result would replace the other: "
            "use two folders."
        )
    if is_folder or len(jobs) > 1:
        _create(destination)
    problems = []
    for job in jobs:
        try:
            _apply(trial, job, destination)
        except (InvalidInput, UploadDeferred) as error:
            problems.append(f"{job[0]}: {error}.")
        except MemoryError:
            problems.append(f"{job[0]}: not enough memory.")
        except OSError as error:
            problems.append(f"{job[0]}: {error.strerror or error}.")
        except ServiceUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  a decoder may raise anything for a damaged file
            problems.append(f"{job[0]}: {type(error).__name__}: {error}.")
    return problems


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ServiceUnavailable(f"{folder} is not a folder: name another.") from error
    except OSError as error:
        raise ServiceUnavailable(f"{folder} cannot be created: {error.strerror}.") from error


def _apply(trial: Trial, sources: Sequence[Path], destination: Path) -> None:
    target_folder = destination if destination.is_dir() else destination.parent
    # On the file system of the results, which are then renamed: whole or not there.
    with TemporaryDirectory(dir=target_folder, prefix=".apply-") as name:
        produced = trial.run(sources, Path(name))
        targets = [target_folder / key for key in trial.keys(sources[0], produced)]
        if target_folder != destination and targets:
            if len(targets) != 1:
                raise InvalidInput(
                    f"it has {len(targets)} results: give a folder for them, {destination}/"
                )
            targets = [destination]
        for (result, _), target in zip(produced.results, targets, strict=True):
            if isinstance(result, bytes):
                path = Path(name, "content")
                path.write_bytes(result)
            else:
                path = result
            path.replace(target)
    for record in produced.records:
        print(json.dumps(record))
    for note in produced.notes:
        print(f"{sources[0]}: {note}.", file=sys.stderr)


def _load(found: Definition) -> Transform:
    """Load a transform's code; print a warning if it runs without its compiled parts."""
    try:
        loaded, builder = transforms.load(found), transforms.builder(found.name)
    except ModuleNotFoundError as error:
        raise ServiceUnavailable(
            f"{found.name} needs the module {error.name!r}{_install(found)}."
        ) from error
    if builder and (warning := builder.prepare()):
        print(warning, file=sys.stderr)
    return loaded


def _install(found: Definition, parameters: object = None) -> str:
    requirements = found.requirements(parameters)
    if not requirements:
        return ""
    command = [sys.executable, "-m", "pip", "install", "-r", str(requirements)]
    return f"; `{shlex.join(command)}` installs it"


def _resources(found: Definition, parameters: object) -> Resources:
    files = {}
    for one in found.resources(parameters):
        if "://" in one.location or not found.folder:
            raise ServiceUnavailable(
                f"{one.name} is {one.location}, which only a stack fetches: download it into a"
                " folder, and give --folder."
            )
        files[one.name] = found.folder / one.location
    return Resources(found.folder, files)


def build() -> list[str]:
    """Compile the parts of all transforms into their folders.

    Returns:
        A sentence for each transform whose parts were not compiled.
    """
    problems = []
    for name in transforms.names():
        try:
            if builder := transforms.builder(name):
                print(f"Compiled parts of {name}: {builder.build(transforms.FOLDER / name)}")
        except OSError as error:
            problems.append(f"The compiled parts of {name} were not built: {error}.")
    return problems
