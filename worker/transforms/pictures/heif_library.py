"""The package pillow-heif, which only pipelines with `formats: [heic]` have."""

from typing import Any

from worker.errors import UploadDeferred


def load() -> Any:
    """Import the package.

    Returns:
        The module.

    Raises:
        UploadDeferred: It is missing, which is no fault of the picture.
    """
    try:
        import pillow_heif  # noqa: PLC0415  only where a pipeline asks for it
    except ModuleNotFoundError as error:
        raise UploadDeferred("HEIC needs the package pillow-heif, which is missing") from error
    return pillow_heif
