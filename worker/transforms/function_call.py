"""A user's function as a transform: imported and called in the confined process alone."""

import errno
import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from worker.errors import InvalidInput, PipelineError
from worker.transforms import Input, Produced
from worker.transforms.results_folder import collect

#: Errors that the machine or a limit causes, not the function.
_ENVIRONMENT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EFBIG}


class FunctionCall:
    """Implements `Transform` with a function of the user's.

    Its module is imported by the first file, not before: by then the process is confined, and what
    the import raises is reported with the file.

    Args:
        name: `package.module:function`.
        folder: The folder that contains the package or module.
        gathers: Whether its first argument is a list of files.
    """

    def __init__(self, name: str, folder: Path, *, gathers: bool) -> None:
        self._folder, self._gathers = folder.resolve(), gathers
        self._module, _, self._name = name.partition(":")
        self._function: Callable[..., object] | None = None

    def apply(self, inputs: Sequence[Input], outputs: Path, parameters: Any) -> Produced:
        """Call the function; see `Transform.apply`. It prints the traceback of what it raises."""
        paths = [one.path for one in inputs]
        if not self._gathers and len(paths) != 1:
            raise InvalidInput(
                f"{self._name} takes one file: annotate its first argument as list[Path]"
            )
        self._function = self._function or self._imported()
        # A copy: what a call changes in a list must not reach the next one.
        keywords = deepcopy(vars(parameters)) if parameters else {}
        try:
            returned = self._function(paths if self._gathers else paths[0], outputs, **keywords)
        except (PipelineError, MemoryError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRORS:
                raise
            self._print_traceback(error)
            raise InvalidInput(f"{type(error).__name__}: {error}") from error
        return collect(outputs, returned)

    def _imported(self) -> Callable[..., object]:
        if str(self._folder) not in sys.path:
            sys.path.insert(0, str(self._folder))
        try:
            module = importlib.import_module(self._module)
        except (MemoryError, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._print_traceback(error)
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, ModuleNotFoundError):
                reason = f"{error}; name its package in requirements.txt of the folder"
            raise InvalidInput(f"its module {self._module} cannot be imported: {reason}") from error
        path = Path(module.__file__ or "")
        if not path.resolve().is_relative_to(self._folder):
            raise InvalidInput(
                f"its module {self._module} has the name of another one of Python: rename it"
            )
        found: Callable[..., object] = getattr(module, self._name)
        return found

    def _print_traceback(self, error: BaseException) -> None:
        """Print a traceback from the first frame in the user's folder on."""
        frames = error.__traceback__
        while frames and not frames.tb_frame.f_code.co_filename.startswith(str(self._folder)):
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
