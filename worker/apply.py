"""`apply`: a transform on files of this machine, in this process."""

import os
import sys
from pathlib import Path

from worker import transforms
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.settings import Limits


def apply(name: str, sources: list[Path], destination: Path) -> list[str]:
    """Transform each source; return a sentence for each that could not be.

    Into a folder results go under the names a pipeline would give them; a single source may
    also name its result. A result appears whole or not at all.
    """
    transform = transforms.load(name)
    into_folder = destination.is_dir()
    if len(sources) > 1 and not into_folder:
        raise ServiceUnavailable(
            f"{destination} is not a folder: several files need one that is there."
        )
    targets = [
        destination / transforms.output_key(name, source.name) if into_folder else destination
        for source in sources
    ]
    if len(set(targets)) < len(targets):
        raise ServiceUnavailable(
            "Two of the files have the same name: their results would be one file."
        )
    if warning := transform.prepare():
        print(warning, file=sys.stderr)
    problems = []
    for source, target in zip(sources, targets, strict=True):
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            transform.apply(source, partial, {"pixels": Limits().pixels})
            partial.replace(target)
        except (InvalidInput, UploadDeferred) as problem:
            problems.append(f"{source}: {problem}.")
        except MemoryError:
            problems.append(f"{source}: it needs more memory than there is.")
        except OSError as error:
            problems.append(f"{source}: {error.strerror or error}.")
        except Exception as error:  # noqa: BLE001  a decoder may raise anything over a bad file
            problems.append(f"{source}: {type(error).__name__}: {error}.")
        finally:
            partial.unlink(missing_ok=True)
    return problems
