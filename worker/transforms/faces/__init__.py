"""Find faces: a crop and a record for each, optionally the picture with all of them marked.

docs/transforms.md describes parameters, results and records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from PIL import Image

from worker.transforms import Input, Produced, Resources
from worker.transforms.faces import detector
from worker.transforms.faces.annotation import annotated
from worker.transforms.faces.centerface import packaged_model
from worker.transforms.faces.detector import Detector
from worker.transforms.faces.face import Face, stored
from worker.transforms.faces.parameters import Parameters
from worker.transforms.pictures import encoding, formats
from worker.transforms.pictures.formats import Format
from worker.transforms.pictures.opening import Picture, opened

_MAX_CROPS = 900  # of the 1,000 results that a job may have
# A JPEG is decoded at 1/4 or 1/8 if that suffices to search it, and whole if it has faces. At 1/2
# that would be slower for most pictures with faces: it takes two thirds of the whole's time.
_DRAFT_UP_TO = 1 / 4


class _Loaded:
    """What `start` has loaded into this process."""

    detector: ClassVar[Detector]


@dataclass(frozen=True)
class _View:
    """A picture as it is searched.

    Attributes:
        picture: What is known of it; its file is closed.
        size: Its width and height upright.
        small: It upright and reduced: bytes of the shape (height, width, 3).
        whole: It as stored and with all pixels, None if only a part of those was decoded.
    """

    picture: Picture
    size: tuple[int, int]
    small: Any
    whole: Image.Image | None


def start(parameters: Parameters, resources: Resources) -> None:
    """Load the model; see `Transform`."""
    own = resources.files.get("model")
    _Loaded.detector = detector.load(own.read_bytes() if own else packaged_model())


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Find the faces of a picture; see `Transform.apply`."""
    (source,) = inputs
    view = _view(source, parameters)
    width, height = view.size
    found = detector.find(_Loaded.detector, view.small, parameters.min_score)
    if not found:
        return Produced(notes=["no face found"])
    rows, columns = view.small.shape[:2]
    faces = [face.scaled(width / columns, height / rows) for face in found]
    cropped = faces[:_MAX_CROPS] if parameters.crops else []
    files: list[tuple[Path, str]] = []
    notes = dict.fromkeys(view.picture.found.notes)
    if len(faces) > len(cropped) > 0:
        notes[f"no crops of {len(faces) - len(cropped)} faces with the lowest scores"] = None
    for image in _images(source, view, faces, cropped, parameters):
        path = outputs / str(len(files) + 1)
        written, changes = _write(image, path, view.picture, parameters)
        files.append((path, written.content_type))
        notes |= dict.fromkeys(changes)
    records = [
        {
            "face": number,
            **face.record(),
            "picture_width": width,
            "picture_height": height,
            "result": number if number <= len(cropped) else None,
        }
        for number, face in enumerate(faces, 1)
    ]
    return Produced(files, records, list(notes))


def _view(source: Input, wanted: Parameters) -> _View:
    """Decode a picture as far as its search needs."""
    with opened(source.path, source.max_pixels, wanted.formats) as picture:
        width, height = size = picture.image.size
        scale = min(1.0, wanted.max_side / max(size))
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        image, ratio = picture.decoded(target if scale <= _DRAFT_UP_TO else None)
        whole = image if ratio == 1 else None
        if picture.is_swapped:
            size, target = size[::-1], target[::-1]
        if image.mode == encoding.DEEP:
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        # Averaged by a whole factor, then interpolated: much faster than Pillow's resize.
        factor = int(ratio / scale)
        reduced = image.reduce(factor) if factor > 1 else image
        small = np.asarray(picture.upright(_in_rgb(reduced)))
    return _View(picture, size, cv2.resize(small, target), whole)


def _in_rgb(image: Image.Image) -> Image.Image:
    """Return what a viewer shows: on white where it is transparent."""
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGB", image.size, "white")
        white.paste(image.convert("RGB"), mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _images(
    source: Input, view: _View, faces: Sequence[Face], cropped: Sequence[Face], wanted: Parameters
) -> Iterator[Image.Image]:
    """Yield the results: crops, then the annotated picture."""
    if not (cropped or wanted.annotate):
        return
    picture, whole = view.picture, view.whole
    if whole is None:
        with opened(source.path, source.max_pixels, wanted.formats) as again:
            whole, _ = again.decoded()
    for face in cropped:
        box = face.crop(wanted.margin, view.size)
        yield picture.upright(whole.crop(stored(box, picture.orientation, whole.size)))
    if wanted.annotate:
        yield annotated(picture.upright(whole), faces)


def _write(
    image: Image.Image, path: Path, picture: Picture, wanted: Parameters
) -> tuple[Format, list[str]]:
    target = formats.CHOICES.get(wanted.format, picture.format)
    colors = picture.found.png_colors
    return encoding.write(image, path, target, picture.info, colors, quality=wanted.quality)
