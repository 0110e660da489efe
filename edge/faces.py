"""Faces of frames, found by the code of the transform `faces`; needs OpenCV and its model."""

import cv2
import numpy as np
from PIL import Image

from edge.settings import Faces
from worker.transforms.faces import detector
from worker.transforms.faces.centerface import packaged_model


class FaceFinder:
    """The model in memory.

    Args:
        wanted: Which faces are found, and how they are cut out.

    Raises:
        ServiceUnavailable: The model is missing or not the one that was measured.
    """

    def __init__(self, wanted: Faces) -> None:
        self._wanted = wanted
        self._detector = detector.load(packaged_model())

    def pictures(self, frame: Image.Image) -> list[Image.Image]:
        """Return what is sent of a frame: a crop of each face, or the frame if it has one."""
        width, height = frame.size
        scale = min(1.0, self._wanted.max_side / max(frame.size))
        # Averaged by a whole factor, then interpolated, as the transform does.
        factor = int(1 / scale)
        small = np.asarray(frame.reduce(factor) if factor > 1 else frame)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        found = detector.find(self._detector, cv2.resize(small, target), self._wanted.min_score)
        if not found or self._wanted.send == "frame":
            return [frame] if found else []
        faces = [face.scaled(width / target[0], height / target[1]) for face in found]
        return [frame.crop(face.crop(self._wanted.margin, frame.size)) for face in faces]
