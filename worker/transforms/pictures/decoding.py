"""Report Pillow's errors as what they mean for a picture."""

import mmap
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from worker.errors import InvalidInput, PipelineError
from worker.transforms.pictures import pixel_limit

#: Bytes that decoders take for a pixel at most, if they report a failed allocation as damage.
DECODER_BYTES = {"JPEG 2000": 32, "WebP": 24, "AVIF": 16, "HEIC": 16, "progressive JPEG": 10}
#: Bytes that the encoders of these formats take for a pixel at most.
ENCODER_BYTES = 64
_FIXED_BYTES = 32 << 20  # what a codec takes for the smallest picture
_PIXELS = re.compile(r"\((\d+) pixels\)")  # in Pillow's message on a picture that is too large


@contextmanager
def translated_errors(file_format: str, max_pixels: int) -> Iterator[None]:
    """Translate the errors of a block that uses Pillow.

    OSError stays if the system reported it, as for a full disk; our own errors stay as well.

    Args:
        file_format: The picture's format, for messages.
        max_pixels: The most pixels that Pillow may decode.

    Raises:
        InvalidInput: The picture is damaged, not supported or too large.
        MemoryError: There is not enough memory.
        PipelineError: The block raised it.
    """
    with _pixel_limit(max_pixels), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (PipelineError, MemoryError):
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            found = _PIXELS.search(str(error))
            pixel_limit.check(int(found[1]) if found else max_pixels + 1, max_pixels)
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            # A decoder may raise anything for a damaged file; this one's text names our folder.
            detail = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
            problem = f"the {file_format} is damaged or not supported{detail}"
            raise InvalidInput(problem) from error


@contextmanager
def memory_errors(needed: int) -> Iterator[None]:
    """Raise MemoryError if a codec failed in a block because memory was short.

    Pillow 13.0 reports what the codecs of `DECODER_BYTES` could not allocate as damage, or by a
    number.

    Args:
        needed: The bytes that the codec takes at most for the pixels; 0 if it reports them itself.

    Raises:
        MemoryError: The block failed, and these bytes cannot be allocated.
        PipelineError: The block raised it.
    """
    try:
        yield
    except (PipelineError, MemoryError):
        raise
    except Exception as error:
        is_reported = isinstance(error, OSError) and error.errno is not None
        if needed and not is_reported:
            require_memory(needed)
        raise


def require_memory(size: int) -> None:
    """Raise MemoryError unless a codec can allocate so many bytes for pixels."""
    try:
        mmap.mmap(-1, _FIXED_BYTES + size).close()
    except OSError as error:
        raise MemoryError from error


@contextmanager
def _pixel_limit(pixels: int) -> Iterator[None]:
    """Let Pillow decode no more in a block; others in the process keep their own limit."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
