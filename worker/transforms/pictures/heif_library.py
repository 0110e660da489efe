"""The package pillow-heif, which only pipelines with `formats: [heic]` have."""

from importlib.util import find_spec
from typing import Any

from worker.errors import UploadDeferred
from worker.transforms.pictures import module_loading

_NAME = "pillow_heif"


def load() -> Any:
    """Import the package.

    Returns:
        The module.

    Raises:
        UploadDeferred: It is missing, which is no fault of the picture.
        MemoryError: There is not enough memory for it.
    """  # noqa: DOC502  raised by module_loading
    if find_spec(_NAME) is None:
        raise UploadDeferred("HEIC needs the package pillow-heif, which is missing")
    module_loading.load(f"_{_NAME}")  # the package would hide an error of this import
    library = module_loading.load(_NAME)
    library.options.DECODE_THREADS = 1  # there is a process for each core
    return library
