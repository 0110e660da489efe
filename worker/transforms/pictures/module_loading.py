"""Import modules when they are first needed: most pipelines have pictures of one format."""

from importlib import import_module
from types import ModuleType

from worker.errors import UploadDeferred

#: Of the loader's errors (glibc, elf/dl-load.c, dl-map-segments.h).
_NO_MEMORY = ("failed to map segment", "annot allocate memory")


def load(name: str) -> ModuleType:
    """Import a module.

    Args:
        name: Its full name.

    Returns:
        The module.

    Raises:
        MemoryError: There is not enough memory for it.
        UploadDeferred: The installation is broken: not the file.
    """
    try:
        return import_module(name)
    except ImportError as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError from error
        raise UploadDeferred(f"{error.name or name} cannot be imported: {error}") from error
