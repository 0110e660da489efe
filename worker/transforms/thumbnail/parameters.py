"""The parameters of `thumbnail`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from worker.transforms.parameters import Range


@dataclass(frozen=True)
class Parameters:
    """The size of thumbnails; a smaller picture is not enlarged.

    Attributes:
        width: The largest width in pixels.
        height: The largest height in pixels.
        crop: Whether the picture fills width and height, and what is beyond is cut off at both
            sides; otherwise the whole picture fits inside.
        formats: Further formats of pictures, which need packages of their own: `heic`.
        format: Of the thumbnail; `same` is the picture's own. PNG if that cannot hold it.
    """

    width: Annotated[int, Range(1, 10_000)] = 512
    height: Annotated[int, Range(1, 10_000)] = 512
    crop: bool = False
    format: Literal["same", "jpeg", "png", "webp"] = "same"
    formats: list[Literal["heic"]] = field(default_factory=list)
