"""Where frames come from: a camera, a video file, or a folder of pictures.

OpenCV (`cv2`) is imported where it is used: folders do without.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from edge.errors import SourceUnavailable
from edge.settings import Capture, Settings, url_parts
from worker.errors import InvalidInput, UploadDeferred
from worker.transforms.pictures import encoding, formats, pixel_limit
from worker.transforms.pictures.opening import opened

_REOPEN_SECONDS, _LONGEST_REOPEN = 1.0, 30.0
_STUCK_SECONDS = 120.0  # after its own time limits a driver has returned, or never will
_MOST_FRAMES_PER_SECOND = 1000.0
_DEEP_STEPS = 256  # levels of 16 bits for each of 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes:
        image: RGB, upright.
        taken: When, in seconds of the monotonic clock.
        seconds: When, on the source's own clock.
        jpeg: The file that it was read from, if that is a JPEG.
    """

    image: Image.Image
    taken: float
    seconds: float
    jpeg: bytes | None = None


class Source(Protocol):
    """Yields frames.

    Attributes:
        has_ended: Whether there will be no more.
        problem: Why there are none now, "" if there are.
    """

    has_ended: bool
    problem: str

    def read(self, seconds: float) -> Frame | None:
        """Return the next frame, None if there is none within some seconds.

        Raises:
            SourceUnavailable: There will be none unless the process starts again.
        """

    def close(self) -> None:
        """Free the device or file."""


def open_source(settings: Settings) -> Source:
    """Open the source of the settings.

    A camera that is not there is no error: it is opened once it is.

    Args:
        settings: The device's.

    Returns:
        The source.

    Raises:
        SourceUnavailable: There is no such file or folder, or it cannot be read.
    """  # noqa: DOC502  raised by the classes
    source, capture = settings.source, settings.capture
    if is_live(source):
        return Camera(source, capture)
    path = settings.path(source)
    return Folder(path, capture) if path.is_dir() else Video(path, capture)


def is_live(source: str) -> bool:
    """Return whether a source is a camera: an index, a device or a URL."""
    return source.isdecimal() or source.startswith("/dev/") or "://" in source


def shown(source: str) -> str:
    """Return a source as it may be printed: without user and password."""
    parts = url_parts(source)
    if not parts.scheme:
        return f"camera {source}" if source.isdecimal() else source
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Camera:
    """A camera. A thread empties its queue, so that the next frame is the newest one.

    Args:
        source: Its index, device or URL.
        capture: Which frames are wanted.
    """

    def __init__(self, source: str, capture: Capture) -> None:
        self.has_ended, self.problem = False, ""
        self._source, self._capture = source, capture
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._is_closed = threading.Event()
        self._heard = time.monotonic()  # when the driver returned
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._guard, name="camera", daemon=True)
        self._thread.start()

    def read(self, seconds: float) -> Frame | None:
        """See `Source.read`."""
        with self._changed:
            if self._newest is None:
                self._changed.wait(seconds)
            frame, self._newest = self._newest, None
        if self._error:
            raise self._error
        silence = time.monotonic() - self._heard
        if silence > _STUCK_SECONDS:
            raise SourceUnavailable(
                f"The driver of {shown(self._source)} has not returned for {silence:.0f} s: the"
                " process must start again."
            )
        return frame

    def close(self) -> None:
        """See `Source.close`."""
        self._is_closed.set()
        self._thread.join(self._capture.timeout_seconds)

    def _guard(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  `read` raises it
            self._error = error

    def _run(self) -> None:
        wait = _REOPEN_SECONDS
        while not self._is_closed.is_set():
            self._heard = time.monotonic()
            device = open_camera(self._source, self._capture.timeout_seconds)
            if device.isOpened():
                if self._read_frames(device):
                    wait = _REOPEN_SECONDS
                    self.problem = f"{shown(self._source)} yields no more frames"
                else:
                    self.problem = f"{shown(self._source)} was opened and yields no frame"
            else:
                self.problem = f"{shown(self._source)} cannot be opened"
            device.release()
            self._heard = time.monotonic() + wait
            self._is_closed.wait(wait)
            wait = min(_LONGEST_REOPEN, 2 * wait)

    def _read_frames(self, device: Any) -> bool:
        """Read until the camera yields nothing; return whether it yielded anything."""
        due, has_read = 0.0, False
        while not self._is_closed.is_set() and device.grab():
            taken = self._heard = time.monotonic()
            if taken < due:
                continue  # without decoding it
            is_read, pixels = device.retrieve()
            if not is_read:
                break
            has_read, self.problem = True, ""
            due = max(due + 1 / self._capture.frames_per_second, taken - 1)
            with self._changed:
                self._newest = Frame(_in_rgb(pixels), taken, taken)
                self._changed.notify_all()
        return has_read


def open_camera(source: str, seconds: float) -> Any:
    """Open a camera with OpenCV.

    Args:
        source: Its index, device or URL.
        seconds: How long it may take to open, and between frames.

    Returns:
        A `cv2.VideoCapture`, which may not be open.
    """
    cv2 = _opencv()
    if "://" in source:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * seconds)]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * seconds)]
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    device = cv2.VideoCapture(int(source) if source.isdecimal() else source, cv2.CAP_ANY)
    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return device


class Video:
    """A video file.

    Args:
        path: The file.
        capture: Which frames are wanted.

    Raises:
        SourceUnavailable: It cannot be read.
    """

    def __init__(self, path: Path, capture: Capture) -> None:
        self.has_ended, self.problem = False, ""
        self._path, self._capture = path, capture
        self._pace = Pace(capture)
        self._begun = 0.0  # when this turn began, on the source's clock
        self._open()
        self._next = self._decode()
        if self._next is None:
            raise SourceUnavailable(f"The video {path} has no frame that can be decoded.")

    def read(self, seconds: float) -> Frame | None:
        """See `Source.read`."""
        if self._next is None:
            if not self._capture.repeat:
                self.has_ended = True
                return None
            self._begun += self._index / self._rate
            self._open()
            self._next = self._decode()
        if self._next is None or not self._pace.is_due(self._next[1], seconds):
            return None
        pixels, at = self._next
        self._next = self._decode()
        return Frame(_in_rgb(pixels), time.monotonic(), at)

    def close(self) -> None:
        """See `Source.close`."""
        self._video.release()

    def _open(self) -> None:
        if not self._path.is_file():
            raise SourceUnavailable(
                f"The source {self._path} is not a file or folder: correct `source`."
            )
        cv2 = _opencv()
        self._video = cv2.VideoCapture(str(self._path), cv2.CAP_ANY)
        if not self._video.isOpened():
            raise SourceUnavailable(f"The video {self._path} is in no format that OpenCV reads.")
        rate = self._video.get(cv2.CAP_PROP_FPS)
        self._rate = rate if 0 < rate <= _MOST_FRAMES_PER_SECOND else 25.0
        self._index, self._due = 0, 0.0

    def _decode(self) -> tuple[Any, float] | None:
        """Return the next wanted frame and when it is shown; None at the end."""
        while self._video.grab():
            at = self._index / self._rate
            self._index += 1
            if at < self._due:
                continue
            is_read, pixels = self._video.retrieve()
            if is_read:
                self._due += 1 / self._capture.frames_per_second
                return pixels, self._begun + at
        return None


class Folder:
    """A folder of pictures, in the order of their names.

    Args:
        path: The folder.
        capture: How fast they are wanted, and how large they may be.

    Raises:
        SourceUnavailable: It cannot be read.
    """

    def __init__(self, path: Path, capture: Capture) -> None:
        self.has_ended, self.problem = False, ""
        self._path, self._capture, self._pace = path, capture, Pace(capture)
        self._number = 0
        self._files = self._list()

    def read(self, seconds: float) -> Frame | None:
        """See `Source.read`."""
        at = self._number / self._capture.frames_per_second
        if not self._pace.is_due(at, seconds):
            return None
        path = next(self._files, None)
        if path is None:
            self.has_ended = not self._capture.repeat
            self._files = self._list()
            return None
        try:
            image, jpeg = _open_picture(path, self._capture.max_pixels)
        except (InvalidInput, UploadDeferred, OSError, MemoryError) as error:
            reason = str(error) or "it needs more memory than there is"
            reason = reason.replace(pixel_limit.SETTING, "the camera's max_pixels")
            _log.warning("%s is skipped: %s.", path, reason.rstrip("."))
            return None
        self._number += 1
        return Frame(image, time.monotonic(), at, jpeg)

    def close(self) -> None:
        """See `Source.close`."""

    def _list(self) -> Iterator[Path]:
        try:
            found = sorted(self._path.iterdir())
        except OSError as error:
            raise SourceUnavailable(f"The folder {self._path}: {error.strerror}.") from None
        return iter([each for each in found if each.is_file() and each.name[0] != "."])


class Pace:
    """Makes a file as slow as a camera.

    Args:
        capture: Whether it is.
    """

    def __init__(self, capture: Capture) -> None:
        self._is_real, self._begun = capture.real_time, time.monotonic()

    def is_due(self, at: float, seconds: float) -> bool:
        """Wait until a frame is due, for some seconds at most.

        Args:
            at: When it is shown, in seconds from the beginning.
            seconds: How long to wait at most.

        Returns:
            Whether it is.
        """
        wait = self._begun + at - time.monotonic() if self._is_real else 0
        time.sleep(min(max(0, wait), seconds))
        return wait <= seconds


def _open_picture(path: Path, max_pixels: int) -> tuple[Image.Image, bytes | None]:
    """Return a picture as a viewer shows it, and its file if that is a JPEG."""
    with opened(path, max_pixels) as picture:
        image = picture.upright(picture.decoded()[0])
        kind = picture.format
    if image.mode == encoding.DEEP:
        image = image.point(lambda level: level / _DEEP_STEPS, "L")
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGB", image.size, "white")
        white.paste(image.convert("RGB"), mask=image.getchannel("A"))
        image = white
    return image.convert("RGB"), path.read_bytes() if kind == formats.JPEG else None


def _in_rgb(pixels: Any) -> Image.Image:
    """Return OpenCV's pixels, blue first, as an image."""
    return Image.fromarray(_opencv().cvtColor(pixels, _opencv().COLOR_BGR2RGB))


def _opencv() -> Any:
    # FFmpeg's messages may hold the URL with its password.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2  # noqa: PLC0415  takes 0.2 s, and folders do without

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
