"""`python -m worker apply`: transform local files in this process."""

import os
import sys
from pathlib import Path

from worker import transforms
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.settings import Limits


def apply(name: str, sources: list[Path], destination: Path) -> list[str]:
    """Transform files; one that fails does not stop the others, and leaves no partial result.

    Prints a warning to standard error if the transform runs without its compiled parts.

    Args:
        name: The transform.
        sources: The files.
        destination: A folder, where results get the names that a pipeline would give them, or, for
            a single source, the result.

    Returns:
        A sentence for each file that could not be transformed.

    Raises:
        ServiceUnavailable: The results cannot be written there; nothing was done.
    """
    transform = transforms.load(name)
    is_folder = destination.is_dir()
    if len(sources) > 1 and not is_folder:
        raise ServiceUnavailable(
            f"{destination} is not a folder: create it, or give a single file."
        )
    targets = [
        destination / transforms.output_key(name, source.name) if is_folder else destination
        for source in sources
    ]
    if len(set(targets)) < len(targets):
        raise ServiceUnavailable(
            "Two of the files have the same name, so one result would replace the other: "
            "use two folders."
        )
    if warning := transform.prepare():
        print(warning, file=sys.stderr)
    problems = []
    for source, target in zip(sources, targets, strict=True):
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            transform.apply(source, partial, {"pixels": Limits().pixels})
            partial.replace(target)
        except (InvalidInput, UploadDeferred) as error:
            problems.append(f"{source}: {error}.")
        except MemoryError:
            problems.append(f"{source}: not enough memory.")
        except OSError as error:
            problems.append(f"{source}: {error.strerror or error}.")
        except Exception as error:  # noqa: BLE001  a decoder may raise anything for a damaged file
            problems.append(f"{source}: {type(error).__name__}: {error}.")
        finally:
            partial.unlink(missing_ok=True)
    return problems
