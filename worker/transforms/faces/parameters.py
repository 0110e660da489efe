"""The parameters of `faces`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from worker.transforms.parameters import Range


@dataclass(frozen=True)
class Parameters:
    """Which faces are found, and what is made of them.

    Attributes:
        min_score: The least score of a face.
        max_side: The longest side in pixels of the picture that is searched; a larger one is
            reduced. The larger it is, the smaller the faces that are found.
        margin: What a crop has around the face's box at each side, as a part of that side.
        crops: Whether each face is a result.
        annotate: Whether the picture with all faces marked is a result, the last one.
        format: Of the results; `same` is the picture's own.
        formats: Further formats of pictures, which need packages of their own: `heic`.
        quality: Of results that are JPEG or WebP.
        model: A YuNet or CenterFace of the user's own: a file of the pipeline's folder,
            `s3://BUCKET/KEY` or `hub://ORGANISATION/NAME@REVISION/FILE`.
        model_sha256: Its SHA-256 in hex; needed unless it is in the pipeline's folder.
    """

    min_score: Annotated[float, Range(0.05, 1)] = 0.5
    max_side: Annotated[int, Range(64, 4096)] = 640
    margin: Annotated[float, Range(0, 2)] = 0.2
    crops: bool = True
    annotate: bool = False
    format: Literal["same", "jpeg", "png", "webp"] = "same"
    quality: Annotated[int, Range(1, 100)] = 90
    model: str = ""
    model_sha256: str = ""
    formats: list[Literal["heic"]] = field(default_factory=list)
