"""YuNet, run by OpenCV's own detector (OpenCV, class FaceDetectorYN); users bring the model."""

from typing import Any

import cv2
import numpy as np

from worker.transforms.faces.face import LANDMARKS, Face

#: Names of the network's outputs.
OUTPUTS = ("cls_8", "obj_8", "bbox_8", "kps_8")
_OVERLAP = 0.3  # intersection over union of two boxes that are one face
_MOST = 5000  # boxes before those that overlap are dropped
_SCORE = 4 + 2 * len(LANDMARKS)  # its column in the result


class YuNet:
    """The network in memory.

    Args:
        model: An ONNX file.
    """

    def __init__(self, model: Any) -> None:
        nothing: Any = np.empty(0, np.uint8)
        self._detector = cv2.FaceDetectorYN.create(
            *("onnx", model, nothing, (1, 1)), nms_threshold=_OVERLAP, top_k=_MOST
        )

    def find(self, picture: Any, min_score: float) -> list[Face]:
        """See `Detector.find`."""
        height, width = picture.shape[:2]
        self._detector.setInputSize((width, height))
        self._detector.setScoreThreshold(min_score)
        _, found = self._detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        # Landmarks begin with the person's right eye, which is at the left of the picture.
        faces = [
            Face.within((width, height), row[:4], row[_SCORE], row[4:_SCORE].reshape(-1, 2))
            for row in ([] if found is None else found)
        ]
        return sorted(faces, key=lambda face: -face.score)
