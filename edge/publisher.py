"""The publisher: a thread that sends what is pending to the device's broker until it is confirmed.

Topics are docs/interfaces.md's: pictures at `image-pipeline/CAMERA/BOOT/NUMBER`, confirmations at
`image-pipeline/CAMERA/BOOT/confirmed`, minutes at `image-pipeline/CAMERA/BOOT/counters`.
"""

import json
import logging
import threading
import time
from datetime import datetime
from typing import Any

from edge.connection import Connection
from edge.counters import Counters
from edge.delivery import Delivery
from edge.errors import BrokerUnavailable
from edge.settings import Settings, read_secret
from edge.spool import Key, Minute, Spool
from worker.errors import InvalidSettings

#: Where the device's broker says whether it reaches the cloud's.
LINK_TOPIC = "image-pipeline-link"
_USER = "camera"
# What the device's broker holds at most while the link is down; the spool has the rest.
_WINDOW_BYTES, _WINDOW_MESSAGES = 16 << 20, 64
_RETRY_SECONDS, _LONGEST_RETRY = 0.5, 10.0
_STEP_SECONDS = 1.0
_MOST_TAKEN = 100_000

_log = logging.getLogger(__name__)


class Publisher(threading.Thread):
    """Sends and forgets; `send` and `end_minute` are called by the thread that captures.

    Args:
        settings: The device's.
        spool: What is pending, also of earlier processes.
        boot: What identifies this start of the process.
        minute: The minute that begins.
    """

    def __init__(self, settings: Settings, spool: Spool, boot: str, minute: str) -> None:
        super().__init__(name="publisher", daemon=True)
        self._settings, self._spool = settings, spool
        self._prefix = f"image-pipeline/{settings.camera}"
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._connection: Connection | None = None
        self._counters, self.boot = Counters(minute, settings.qos), boot
        self._taken: dict[Key, float] = {}  # monotonic seconds, of this process's pictures
        self._pictures: Delivery[Key] = Delivery(_WINDOW_BYTES, _WINDOW_MESSAGES)
        self._minutes: Delivery[Minute] = Delivery(_WINDOW_BYTES, _WINDOW_MESSAGES)
        self._contents: dict[Minute, bytes] = {}
        self._sent: dict[int, Key] = {}  # at QoS 0: what the broker has is forgotten
        self.confirmed = 0  # pictures, those of earlier processes included
        self.problem: str | None = None  # "": the broker is reached
        self.error: BaseException | None = None
        for key, size in spool.pending():
            self._pictures.add(key, size)
        for minute_key, content in spool.minutes():
            self._contents[minute_key] = content
            self._minutes.add(minute_key, len(content))

    @property
    def pending(self) -> int:
        """How many pictures and minutes are not confirmed."""
        return len(self._pictures) + len(self._minutes)

    @property
    def minute(self) -> str:
        """The minute that is counted."""
        return self._counters.minute

    def send(self, key: Key, size: int, taken: float) -> None:
        """Send a picture that the spool has.

        Args:
            key: What identifies it.
            size: Its bytes.
            taken: When its frame was taken, in seconds of the monotonic clock.
        """
        with self._lock:
            self._taken[key] = taken
            if len(self._taken) > _MOST_TAKEN:  # at QoS 0 a confirmation may never come
                del self._taken[next(iter(self._taken))]
            self._counters.generated(key.number, size)
            self._pictures.add(key, size)
        self._wake()

    def count_dropped(self, number: int) -> None:
        """Count a picture that got a number and cannot be sent."""
        with self._lock:
            self._counters.generated(number, 0)
            self._counters.dropped()

    def drop_oldest(self) -> bool:
        """Drop the oldest picture that is not published; return whether there was one."""
        with self._lock:
            key = self._pictures.oldest_waiting()
            if key is None:
                return False
            self._forget(key)
            self._spool.remove(key)
            self._counters.dropped()
        return True

    def end_minute(self, now: datetime) -> None:
        """Send the counters of the minute, and begin the next one."""
        with self._lock:
            key = Minute(self.boot, self._counters.minute)
            content = self._counters.end(now)
            self._spool.put_minute(key, content)
            self._contents[key] = content
            self._minutes.add(key, len(content))
        self._wake()

    def begin_boot(self, boot: str, minute: str) -> None:
        """Number pictures from 1 under another boot id: a minute that was counted comes again."""
        with self._lock:
            self.boot, self._counters = boot, Counters(minute, self._settings.qos)

    def stop(self) -> None:
        """End the thread; what is pending stays in the spool."""
        self._ended.set()
        self._wake()
        self.join()

    def run(self) -> None:
        """Connect, send, and connect again, until `stop`."""
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  the capturing thread raises it
            self.error = error

    def _run(self) -> None:
        wait = _RETRY_SECONDS
        while not self._ended.is_set():
            try:
                with self._connect() as connection:
                    self._report("")
                    wait = _RETRY_SECONDS
                    self._talk(connection)
            except (BrokerUnavailable, InvalidSettings) as error:
                self._report(str(error))
            self._ended.wait(wait)
            wait = min(_LONGEST_RETRY, 2 * wait)

    def _connect(self) -> Connection:
        broker = self._settings.broker
        return Connection(
            (broker.host, broker.port),
            f"camera-{self._settings.camera}",
            login(self._settings),
            on_message=self._on_message,
            on_sent=self._on_sent,
        )

    def _talk(self, connection: Connection) -> None:
        """Send what is due until the connection is lost or the thread is to end."""
        connection.subscribe(f"{self._prefix}/+/confirmed", LINK_TOPIC)
        with self._lock:
            self._connection = connection
            self._sent.clear()
            self._pictures.connected()
            self._minutes.connected()
        try:
            while not self._ended.is_set():
                self._send_due(connection)
                connection.wait(_STEP_SECONDS)
        finally:
            with self._lock:
                self._connection = None
                self._pictures.disconnected()
                self._minutes.disconnected()

    def _send_due(self, connection: Connection) -> None:
        now = time.monotonic()
        with self._lock:
            pictures, minutes = self._pictures.due(now), self._minutes.due(now)
        for minute in minutes:
            topic = f"{self._prefix}/{minute.boot}/counters"
            connection.publish(topic, self._contents[minute], 1)
        for key in pictures:
            picture = self._spool.read(key)
            if picture is None:
                _log.error("Picture %s/%s cannot be read from the spool: it is dropped.", *key)
                with self._lock:
                    self._forget(key)
                    self._counters.dropped()
                self._spool.remove(key)
                continue
            topic = f"{self._prefix}/{key.boot}/{key.number}"
            self._sent[connection.publish(topic, picture, self._settings.qos)] = key

    def _on_sent(self, message: int) -> None:
        key = self._sent.pop(message, None)
        if self._settings.qos == 0 and key:
            with self._lock:
                self._pictures.settle(key)
            self._spool.remove(key)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == LINK_TOPIC:
            with self._lock:
                for each in (self._pictures, self._minutes):
                    each.linked(payload == b"1", time.monotonic())
            return
        boot = topic.split("/")[2]
        try:
            answer = json.loads(payload)
            refused, numbers = answer.get("refused"), _numbers(answer)
        except (ValueError, TypeError, AttributeError, RecursionError):
            _log.warning("A confirmation of boot %s is not understood: it is ignored.", boot)
            return
        for number in numbers:
            if refused is None:
                self._confirm(Key(boot, number))
            else:
                self._refuse(Key(boot, number), str(refused))
        if isinstance(minute := answer.get("minute"), str):
            self._confirm_minute(Minute(boot, minute))

    def _confirm(self, key: Key) -> None:
        with self._lock:
            is_first = self._pictures.settle(key)
            if (taken := self._taken.pop(key, None)) is not None:
                self._counters.confirmed(time.monotonic() - taken)
            self.confirmed += is_first or taken is not None  # at QoS 0 it was forgotten before
        self._spool.remove(key)

    def _refuse(self, key: Key, reason: str) -> None:
        with self._lock:
            self._forget(key)
        _log.warning("The cloud refuses picture %s/%s: %s", *key, reason)
        self._spool.refuse(key, reason)

    def _confirm_minute(self, minute: Minute) -> None:
        with self._lock:
            if self._minutes.settle(minute):
                del self._contents[minute]
                self._spool.remove_minute(minute)

    def _forget(self, key: Key) -> None:
        self._pictures.settle(key)
        self._taken.pop(key, None)

    def _report(self, problem: str) -> None:
        """Log a problem when it begins and when it ends."""
        if problem != self.problem:
            if problem:
                _log.warning("%s Pictures stay in the spool; it is tried again.", problem)
            else:
                _log.info("The device's broker is reached.")
        self.problem = problem

    def _wake(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.wake()


def login(settings: Settings) -> tuple[str, str] | None:
    """Return user and password of the device's broker, None if it needs none.

    Args:
        settings: The device's.

    Raises:
        InvalidSettings: The password's file cannot be read, or is empty.
    """  # noqa: DOC502  raised by read_secret
    file = settings.broker.password_file
    return (_USER, read_secret(settings.path(file))) if file else None


def _numbers(answer: dict[str, Any]) -> list[int]:
    """Return the numbers of pictures in an answer; raise ValueError for what is no number."""
    found = [*answer.get("numbers", ())]
    found += [answer["number"]] if "number" in answer else []
    if any(type(each) is not int for each in found):
        raise ValueError
    return found
