"""`run`: frames -> motion -> faces -> JPEG -> spool, while the publisher empties the spool."""

import logging
import secrets
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO

from PIL import Image

from edge.counters import minute_of
from edge.errors import SpoolFull
from edge.motion import MotionGate
from edge.notification import notify
from edge.publisher import Publisher
from edge.settings import Settings
from edge.source import Frame, Source, open_source, shown
from edge.spool import Key, Spool

#: The largest picture that the cloud takes, in bytes.
MAX_BYTES = 16 << 20
_LONGEST_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_STEP_SECONDS = 0.5
_MEGABYTE = 1_000_000

_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Capture until SIGTERM or SIGINT, or until a file or folder has ended and all of it arrived.

    Args:
        settings: The device's.

    Raises:
        SpoolUnusable: The spool cannot be used.
        SourceUnavailable: The source yields nothing until the process starts again.
        ServiceUnavailable: The model is missing.
    """  # noqa: DOC502  raised by what it calls
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    pictures = _pictures_of(settings)
    spool = Spool(
        settings.spool_folder,
        settings.spool.max_mb * _MEGABYTE,
        settings.spool.refused_mb * _MEGABYTE,
    )
    service = Service(settings, spool, ended)
    source = open_source(settings)
    try:
        service.run(source, pictures)
    finally:
        source.close()
        spool.close()


def new_boot(now: datetime) -> str:
    """Return an id for a start of the process: in the order of time where the clock is right."""
    # 48 random bits: the clock of a device without a battery is the same at each start.
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(6)}"


class Service:
    """One start of the process.

    Args:
        settings: The device's.
        spool: Its spool.
        ended: Set once it is to end.
    """

    def __init__(self, settings: Settings, spool: Spool, ended: threading.Event) -> None:
        now = _now()
        self._settings, self._spool, self._ended = settings, spool, ended
        self._number = 0
        self._frames = self._made = 0
        self._problem = ""
        self._has_counted = False  # the last minute of this process
        self._publisher = Publisher(settings, spool, new_boot(now), minute_of(now))

    def run(self, source: Source, pictures: Callable[[Frame], Sequence[bytes]]) -> None:
        """Send what `pictures` makes of each frame, until the end.

        Args:
            source: Yields the frames.
            pictures: Returns the JPEGs to send of a frame.
        """
        _log.info(
            "Camera %s: %s, boot %s; the spool has %d pictures.",
            *(self._settings.camera, shown(self._settings.source), self._publisher.boot),
            len(self._spool),
        )
        self._publisher.start()
        notify("READY=1")
        try:
            while not (self._ended.is_set() or source.has_ended):
                self._look_after(source.problem)
                frame = source.read(_STEP_SECONDS)
                self._frames += frame is not None
                for picture in pictures(frame) if frame else ():
                    self._send(picture, frame.taken if frame else 0)
            if source.has_ended:
                _log.info("The source has ended: waiting until the cloud has confirmed all of it.")
                self._await(lambda: not len(self._spool))
        finally:
            self._publisher.end_minute(_now())
            self._has_counted = True
            if source.has_ended:
                self._await(lambda: not self._publisher.pending)
            notify("STOPPING=1")
            self._publisher.stop()
            _log.info(
                "Stopped: looked at %d frames, made %d pictures of them, the cloud confirmed %d; "
                "the spool has %d pictures.",
                *(self._frames, self._made, self._publisher.confirmed, len(self._spool)),
            )

    def _await(self, is_done: Callable[[], bool]) -> None:
        while not (is_done() or self._ended.is_set()):
            self._look_after("")
            self._ended.wait(_STEP_SECONDS)

    def _send(self, picture: bytes, taken: float) -> None:
        """Give a picture its number and store it; wait for room where QoS 1 promises to keep it."""
        self._made += 1
        if len(picture) > MAX_BYTES:
            self._number += 1
            self._publisher.count_dropped(self._number)
            _log.warning(
                "A picture of %.1f MB is dropped: the cloud takes 16 MiB; lower `quality`.",
                len(picture) / _MEGABYTE,
            )
            return
        while not self._ended.is_set():
            key = Key(self._publisher.boot, self._number + 1)
            try:
                self._spool.put(key, picture)
            except SpoolFull as full:
                if self._settings.qos == 0:
                    if not self._publisher.drop_oldest():
                        self._number += 1
                        self._publisher.count_dropped(self._number)
                        return
                    continue
                self._look_after(f"{full}: capture is stopped until the cloud confirms pictures")
                self._spool.await_room(_STEP_SECONDS)
            else:
                self._number += 1
                self._publisher.send(key, len(picture), taken)
                return

    def _look_after(self, problem: str) -> None:
        """Report a new problem, feed systemd's watchdog, end the minute where it has ended."""
        if self._publisher.error:
            raise self._publisher.error
        now = _now()
        if not self._has_counted and (minute := minute_of(now)) != (last := self._publisher.minute):
            self._publisher.end_minute(now)
            if minute < last:  # the clock was set back: no minute occurs twice in a boot
                self._number = 0
                self._publisher.begin_boot(new_boot(now), minute)
        if problem != self._problem:
            if problem:
                _log.warning("%s.", problem)
            else:
                _log.info("Capture goes on.")
            self._problem = problem
        count = len(self._spool)
        waiting = f"{count} picture{'s' * (count != 1)} in the spool"
        obstacles = "; ".join(
            each.rstrip(".") for each in (problem, self._publisher.problem) if each
        )
        notify("WATCHDOG=1", f"STATUS={obstacles or 'Capturing'}; {waiting}.")


def _pictures_of(settings: Settings) -> Callable[[Frame], Sequence[bytes]]:
    """Return what makes the JPEGs of a frame."""
    wanted = settings.motion
    is_gated = wanted.enabled
    if is_gated is None:
        is_gated = not settings.path(settings.source).is_dir()
    gate = MotionGate(wanted.changed, wanted.hold_seconds) if is_gated else None
    finder = None
    if settings.detect == "faces":
        from edge.faces import FaceFinder  # noqa: PLC0415  loads OpenCV and the model

        finder = FaceFinder(settings.faces)

    def pictures(frame: Frame) -> Sequence[bytes]:
        if gate and not gate.is_open(frame.image, frame.seconds):
            return []
        if finder:
            return _jpegs(finder.pictures(frame.image), settings.quality)
        if frame.jpeg and len(frame.jpeg) <= MAX_BYTES:
            return [frame.jpeg]  # as it is: nothing is lost
        return _jpegs([frame.image], settings.quality)

    return pictures


def _jpegs(images: Sequence[Image.Image], quality: int) -> list[bytes]:
    found = []
    for image in images:
        if max(image.size) > _LONGEST_SIDE:
            _log.warning(
                "A picture of %dx%d is dropped: a side of a JPEG has at most %d pixels.",
                *(*image.size, _LONGEST_SIDE),
            )
            continue
        coded = BytesIO()
        image.save(coded, "JPEG", quality=quality)
        found.append(coded.getvalue())
    return found


def _now() -> datetime:
    return datetime.now(UTC)
