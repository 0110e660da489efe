"""The codecs that Pillow imports itself, to find out whether it knows a format."""

from worker.transforms.pictures import formats, module_loading
from worker.transforms.pictures.formats import Format


def load(known: Format) -> None:
    """Import a format's codec; without effect for formats that need none.

    If Pillow's own import failed once, it would refuse all later pictures of the format in this
    process. libavif would use a thread for each core, although there is a process for each: with 16
    threads a picture takes five times the memory.

    Raises:
        MemoryError: There is not enough memory for it.
        UploadDeferred: The installation is broken.
    """  # noqa: DOC502  raised by module_loading
    if known == formats.WEBP:
        module_loading.load("PIL._webp")
    elif known == formats.AVIF:
        module_loading.load("PIL._avif")
        vars(module_loading.load("PIL.AvifImagePlugin"))["DEFAULT_MAX_THREADS"] = 1
