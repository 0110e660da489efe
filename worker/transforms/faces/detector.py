"""The detector of a process: a network of one of two kinds, run by OpenCV."""

from typing import Any, Protocol

import cv2
import numpy as np

from worker.errors import ServiceUnavailable
from worker.transforms.faces import centerface, yunet
from worker.transforms.faces.centerface import CenterFace
from worker.transforms.faces.face import Face
from worker.transforms.faces.yunet import YuNet


class Detector(Protocol):
    """Finds faces. It uses one thread: the worker has a process per core."""

    def find(self, picture: Any, min_score: float) -> list[Face]:
        """Find faces.

        Args:
            picture: Bytes of the shape (height, width, 3): red, green, blue.
            min_score: The least score.

        Returns:
            The faces by descending score.
        """


def load(model: bytes) -> Detector:
    """Load a network.

    Args:
        model: An ONNX file with the outputs of CenterFace or of YuNet.

    Returns:
        Its detector.

    Raises:
        ServiceUnavailable: OpenCV cannot read it, or it has other outputs.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    data = np.frombuffer(model, np.uint8)
    try:
        network = cv2.dnn.readNetFromONNX(data)
    except cv2.error as error:
        raise ServiceUnavailable(
            "OpenCV cannot read the model of `faces`: set model to an ONNX file."
        ) from error
    outputs = set(network.getUnconnectedOutLayersNames())
    if outputs.issuperset(centerface.OUTPUTS):
        return CenterFace(network)
    if outputs.issuperset(yunet.OUTPUTS):
        return YuNet(data)
    raise ServiceUnavailable(
        f"The model of `faces` has the outputs {', '.join(sorted(outputs))}: set model to a YuNet"
        f" ({', '.join(yunet.OUTPUTS)}, …) or a CenterFace ({', '.join(centerface.OUTPUTS)})."
    )


def find(detector: Detector, picture: Any, min_score: float) -> list[Face]:
    """Find faces.

    Args:
        detector: The process's.
        picture: As `Detector.find` takes it.
        min_score: The least score.

    Returns:
        The faces by descending score.

    Raises:
        MemoryError: There is not enough memory.
        cv2.error: OpenCV failed otherwise.
    """
    try:
        return detector.find(picture, min_score)
    except cv2.error as error:
        if error.code != cv2.Error.STS_NO_MEM:
            raise
        raise MemoryError from error
