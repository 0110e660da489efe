"""`python -m worker apply` and `build`: transforms in this process, on files of this computer."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import transforms
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.settings import Limits
from worker.transforms import Input, Transform
from worker.transforms.output_keys import output_keys
from worker.transforms.parameters import read

_RUN = "run"  # stands for a run's id in the names of results


def apply(
    name: str, values: Mapping[str, object], sources: Sequence[Path], destination: Path
) -> list[str]:
    """Transform files; one that fails does not stop the others, and leaves no partial result.

    Prints a warning to standard error if the transform runs without its compiled parts.

    Args:
        name: The transform.
        values: Its parameters by name in camelCase.
        sources: The files.
        destination: A folder, where results get the names that a pipeline would give them, or, for
            a single source with a single result, that result.

    Returns:
        A sentence for each file that could not be transformed.

    Raises:
        InvalidSettings: There is no such transform, or a parameter is wrong.
        ServiceUnavailable: The results cannot be written there; nothing was done.
    """  # noqa: DOC502  raised by what it calls
    parameters = read(transforms.find(name).parameters_type, values)
    is_folder = destination.is_dir()
    if len(sources) > 1 and not is_folder:
        raise ServiceUnavailable(
            f"{destination} is not a folder: create it, or give a single file."
        )
    if len({source.name for source in sources}) < len(sources):
        raise ServiceUnavailable(
            "Two of the files have the same name, so one result would replace the other: "
            "use two folders."
        )
    transform, builder = transforms.load(name), transforms.builder(name)
    if builder and (warning := builder.prepare()):
        print(warning, file=sys.stderr)
    pattern, problems = transforms.describe(name).output_key, []
    for source in sources:
        try:
            _apply(transform, parameters, pattern, source, destination)
        except (InvalidInput, UploadDeferred) as error:
            problems.append(f"{source}: {error}.")
        except MemoryError:
            problems.append(f"{source}: not enough memory.")
        except OSError as error:
            problems.append(f"{source}: {error.strerror or error}.")
        except Exception as error:  # noqa: BLE001  a decoder may raise anything for a damaged file
            problems.append(f"{source}: {type(error).__name__}: {error}.")
    return problems


def _apply(
    transform: Transform, parameters: object, pattern: str, source: Path, destination: Path
) -> None:
    target_folder = destination if destination.is_dir() else destination.parent
    # On the file system of the results, which are then renamed: whole or not there.
    with TemporaryDirectory(dir=target_folder, prefix=".apply-") as name:
        one = Input(source, source.name, Limits().pixels)
        produced = transform.apply([one], Path(name), parameters)
        types = [content_type for _, content_type in produced.files]
        targets = [target_folder / key for key in output_keys(pattern, source.name, types, _RUN)]
        if target_folder != destination:
            if len(targets) != 1:
                raise InvalidInput(f"it has {len(targets)} results: give a folder for them")
            targets = [destination]
        for (path, _), target in zip(produced.files, targets, strict=True):
            path.replace(target)
    for note in produced.notes:
        print(f"{source}: {note}.", file=sys.stderr)


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
