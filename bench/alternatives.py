"""Other programs that negate a picture, from file to file, to compare the kernels with."""

import ctypes
import ctypes.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageChops, ImageOps, JpegImagePlugin, features

from bench.errors import NotInstalled
from bench.imagemagick import find_convert
from worker.transforms import negate

Negate = Callable[[Path, Path], object]

CONVERT = "convert -negate"
PILLOW = ("Pillow ImageOps.invert", "Pillow ImageChops.invert", "Pillow point")
VIPS = "libvips"
IDENTITY = "identity transcode"
COPY = "plain copy"
OURS = "ours"


@dataclass(frozen=True)
class Alternative:
    """A program or library and its version."""

    name: str
    version: str
    run: Negate
    suits: Callable[[Path], bool] = lambda _: True
    negates: bool = True


def find_alternatives() -> tuple[list[Alternative], list[str]]:
    """Find what is installed.

    Returns:
        The alternatives, ours first, and a sentence for each that is missing.
    """
    found, missing = [Alternative(OURS, "worker/transforms", ours)], []
    for make in (_imagemagick, _pillow, _vips, _identity):
        try:
            found += make()
        except NotInstalled as error:
            missing.append(str(error))
    found.append(Alternative(COPY, "the bytes alone", shutil.copyfile, _has_palette, negates=False))
    return found, missing


def ours(source: Path, target: Path) -> None:
    """Run the worker's transform, as the sandboxed child does."""
    negate.negate_file(source, target, 250_000_000)


def _has_palette(path: Path) -> bool:
    return path.suffix == ".gif" or "palette" in path.name


def _is_jpeg(path: Path) -> bool:
    return path.suffix == ".jpg"


def _imagemagick() -> list[Alternative]:
    """Run `convert` as a separate process, as users do."""
    program = find_convert()
    if not program:
        raise NotInstalled("ImageMagick's convert", "apt-get install imagemagick")
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)

    def run(source: Path, target: Path) -> None:
        subprocess.run([program, source, "-negate", target], check=True)

    return [Alternative(CONVERT, " ".join(answer.stdout.split()[1:4]), run)]


def _pillow() -> list[Alternative]:
    version = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    inverts: tuple[Callable[[Image.Image], Image.Image], ...] = (
        ImageOps.invert,
        ImageChops.invert,
        lambda image: image.point(lambda value: 255 - value),
    )

    def way(invert: Callable[[Image.Image], Image.Image]) -> Negate:
        def run(source: Path, target: Path) -> None:
            with Image.open(source) as image:
                options: dict[str, Any] = {}
                if isinstance(image, JpegImagePlugin.JpegImageFile):
                    options["qtables"] = image.quantization
                    options["subsampling"] = JpegImagePlugin.get_sampling(image)
                    options["progressive"] = bool(image.info.get("progressive"))
                kind = image.format
                image.load()
                rgb = image.convert("RGB") if image.mode == "P" else image
                invert(rgb).save(target, kind, **options)

        return run

    return [
        Alternative(name, version, way(invert))
        for name, invert in zip(PILLOW, inverts, strict=True)
    ]


def _vips() -> list[Alternative]:
    try:
        pyvips = import_module("pyvips")
    except (ImportError, OSError):
        raise NotInstalled("libvips", "pip install pyvips pyvips-binary") from None

    def run(source: Path, target: Path) -> None:
        image = pyvips.Image.new_from_file(str(source), access="sequential")
        options = {"Q": 95 if "q95" in source.name else 90} if source.suffix == ".jpg" else {}
        if "progressive" in source.name:
            options["interlace"] = True
        image.invert().write_to_file(str(target), **options)

    return [Alternative(VIPS, "libvips " + ".".join(str(pyvips.version(i)) for i in range(3)), run)]


def _identity() -> list[Alternative]:
    """TjTransform without an operation: decoding and coding of the entropy-coded data alone."""
    path = ctypes.util.find_library("turbojpeg")
    if not path:
        raise NotInstalled("libturbojpeg", "apt-get install libturbojpeg0")
    library = ctypes.CDLL(path)
    library.tjInitTransform.restype = ctypes.c_void_p
    pointer, size = ctypes.c_void_p, ctypes.c_ulong

    def run(source: Path, target: Path) -> None:
        data, made, length = source.read_bytes(), pointer(), size()
        handle = pointer(library.tjInitTransform())
        # tjtransform: x, y, w, h, op, options (32: progressive), data, filter
        options = 32 if "progressive" in source.name else 0
        transform = (ctypes.c_int * 10)(0, 0, 0, 0, 0, options)
        answer = library.tjTransform(
            *(handle, data, size(len(data)), 1, ctypes.byref(made), ctypes.byref(length)),
            *(transform, 0),
        )
        if answer:
            raise RuntimeError("libjpeg-turbo did not transcode it")
        target.write_bytes(ctypes.string_at(made, length.value))
        library.tjFree(made)
        library.tjDestroy(handle)

    version = f"libjpeg-turbo's tjTransform ({path})"
    return [Alternative(IDENTITY, version, run, _is_jpeg, negates=False)]
