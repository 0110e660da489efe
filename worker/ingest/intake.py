"""From a message's arrival to its confirmation: row, object, mark.

A message is held in memory until all of it is done, and acknowledged only then: whatever fails is
tried again, and what a killed process held is sent again by the broker, or else by the camera.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.errors import MessageRefused, ObjectMissing, ServiceUnavailable, UploadDeferred
from worker.ingest.counters import Counters, read_counters
from worker.ingest.held_messages import HeldMessage, HeldMessages, Receipt
from worker.ingest.pictures import check_size, kind_of
from worker.ingest.settlement import Settlement
from worker.ingest.topics import COUNTERS, Address, read_topic
from worker.jobs.fetch import NUMBER, PARENT
from worker.ledger.messages import KnownMessage, Message, MessageLedger, message_id
from worker.logs import fields
from worker.settings import Settings
from worker.store.store import Contents, Store

#: Counters of minutes, of at most 4 KiB each, that are held while the database is away.
_MOST_COUNTED = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much an intake does at once, and how often.

    Attributes:
        held_bytes: Nothing more is read while that much is held.
        puts: Objects stored at a time.
        pause: Seconds before what failed is tried again, doubled each time.
        longest_pause: The longest of these pauses.
        batch: Seconds to wait for more messages to note with the same statement.
        heartbeat: Seconds between heartbeats.
        purge: Seconds between purges of old rows.
    """

    held_bytes: int = 64 << 20
    puts: int = 8
    pause: float = 0.5
    longest_pause: float = 15
    batch: float = 0.01
    heartbeat: float = 5
    purge: float = 600

    def pause_after(self, failures: int) -> float:
        """Return the pause after that many failures."""
        return min(self.pause * float(1 << min(failures - 1, 10)), self.longest_pause)


class Intake:
    """Stores messages.

    `arrive` belongs to the network's thread. A thread of its own keeps the ledger, with one
    statement for all that has happened meanwhile; others put objects.

    Args:
        settings: The stack's: its cameras and pipelines.
        store: The object store.
        open_ledger: Opens the ledger; again after each failure.
        settle: Sends back what is done with; called from any thread.
        network_problem: Returns why nothing can arrive, if so.
        limits: See `Limits`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        open_ledger: Callable[[], AbstractContextManager[MessageLedger]],
        settle: Callable[[Settlement], None],
        *,
        network_problem: Callable[[], str | None],
        limits: Limits = Limits(),
    ) -> None:
        self._settings, self._store, self._open_ledger = settings, store, open_ledger
        self._settle, self._network_problem, self._limits = settle, network_problem, limits
        self._changed = threading.Condition()
        self._held = HeldMessages(limits.held_bytes)
        # What happened since the last statement; removed once a statement has noted it.
        self._arrived: list[HeldMessage] = []
        self._stored: list[HeldMessage] = []
        self._counted: list[tuple[Address, Counters, Receipt]] = []
        self._later: list[tuple[float, HeldMessage]] = []
        self._putting = 0
        self._has_recovered = self._is_stopping = False
        self._executor = ThreadPoolExecutor(limits.puts, "put")
        self._thread = threading.Thread(target=self._keep_ledger, name="ledger", daemon=True)
        self._marked: dict[tuple[str, str], tuple[int, int]] | None = None
        self._next_heartbeat = self._next_purge = 0.0

    @property
    def is_full(self) -> bool:
        """Whether no more may be read from the broker."""
        with self._changed:
            return self._held.is_full or len(self._counted) >= _MOST_COUNTED

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start its threads."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Finish what is being stored, as far as the time allows; the rest will be sent again."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._thread.join(seconds)

    def arrive(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        """Take a message; it is settled now or later. Never raises."""
        try:
            self._arrive(topic, payload, receipt)
        except MessageRefused as error:
            self._refuse(None, str(error), [receipt])
        except Exception:  # noqa: BLE001  it must not end the loop; the message stays
            _log.exception("message failed", extra=fields(topic=topic[:200]))

    def _arrive(self, topic: str, payload: bytes, receipt: Receipt) -> None:
        address = read_topic(topic)
        if address is None:
            self._settle(Settlement([receipt]))
            return
        try:
            if address.number == COUNTERS:
                self._count(address, payload, receipt)
            else:
                self._hold(address, payload, receipt)
        except MessageRefused as error:
            self._refuse(address, str(error), [receipt])

    def _hold(self, address: Address, payload: bytes, receipt: Receipt) -> None:
        number = address.picture_number()
        camera = self._settings.cameras.get(address.camera)
        if camera is None:
            raise _unknown(address)
        check_size(len(payload))
        place = (address.camera, address.boot, number)
        contents = Contents(payload, hashlib.sha256(payload).hexdigest(), b"", len(payload))
        message = Message(
            message_id(self._settings.stack, *place),
            camera.pipeline,
            *place,
            f"{address.camera}/{address.boot}/{number}.{kind_of(payload).extension}",
            contents.sha256,
            len(payload),
        )
        with self._changed:
            other = self._held.get(message.id)
            if other is None:
                held = HeldMessage(message, address, payload, contents, [receipt])
                self._held.add(held)
                self._arrived.append(held)
                self._changed.notify()
            elif other.message.sha256 != message.sha256:
                raise _other_content(message)
            else:
                other.receipts.append(receipt)

    def _count(self, address: Address, payload: bytes, receipt: Receipt) -> None:
        if address.camera not in self._settings.cameras:
            raise _unknown(address)
        address.check_boot()  # a long one has no place in the table's index
        counters = read_counters(address.camera, address.boot, payload, datetime.now(UTC))
        with self._changed:
            self._counted.append((address, counters, receipt))
            self._changed.notify()

    def _refuse(self, address: Address | None, reason: str, receipts: list[Receipt]) -> None:
        _log.info("message refused", extra=fields(reason=reason))
        settlement = Settlement(receipts)
        if address:
            settlement.refuse(address, reason)
        self._settle(settlement)

    def _keep_ledger(self) -> None:
        failures = 0
        while True:
            try:
                with self._open_ledger() as ledger:
                    if not self._has_recovered:
                        self._recover(ledger)
                    self._marked, self._next_heartbeat = None, 0.0
                    while self._step(ledger):
                        failures = 0
                    return
            except ServiceUnavailable as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001  what is held stays held
                _log.exception("ledger failed")
                problem = f"{type(error).__name__}: {error}"
            failures += 1
            _log.info("ingest", extra=fields(obstacle=problem))
            if self._is_stopping:
                return
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_stopping, self._limits.pause_after(failures)
                )

    def _recover(self, ledger: MessageLedger) -> None:
        """Mark what a killed process has stored; at QoS 0 it does not arrive again."""
        stored = []
        for message in ledger.unmarked():
            pipeline = self._settings.pipelines.get(message.pipeline)
            with suppress(ObjectMissing, UploadDeferred):
                found = pipeline and self._store.head(pipeline.input, message.key)
                if found and found.metadata.get(PARENT) == message.id:
                    stored.append(message.id)
        ledger.note([], stored)
        self._has_recovered = True

    def _step(self, ledger: MessageLedger) -> bool:
        """Note what has happened, and act on it; return whether to go on."""
        with self._changed:
            has_work = self._changed.wait_for(self._has_work, self._seconds_to_wait())
        if has_work:
            time.sleep(self._limits.batch)
        with self._changed:
            arrived, stored, counted = self._arrived[:], self._stored[:], self._counted[:]
            if self._is_stopping:  # they will be sent again
                arrived, counted = [], []
        if arrived or stored:
            messages = [one.message for one in arrived]
            known = ledger.note(messages, [one.message.id for one in stored])
            self._mark(stored)
            with self._changed:
                del self._arrived[: len(arrived)]
                del self._stored[: len(stored)]
            self._confirm(stored)
            self._act(arrived, known)
        if counted:
            ledger.count([counters.minute for _, counters, _ in counted])
            with self._changed:
                del self._counted[: len(counted)]
            settlement = Settlement([receipt for _, _, receipt in counted])
            for address, counters, _ in counted:
                settlement.confirm_minute(address, counters.name)
            self._settle(settlement)
        self._try_again()
        self._do_periodic(ledger)
        with self._changed:
            return not self._is_done()

    def _has_work(self) -> bool:
        if self._is_stopping:
            return bool(self._stored) or self._is_done()
        return bool(self._arrived or self._stored or self._counted)

    def _is_done(self) -> bool:
        return self._is_stopping and not (self._stored or self._putting)

    def _seconds_to_wait(self) -> float:
        moments = [self._next_heartbeat, *(moment for moment, _ in self._later)]
        return max(0, min(moments) - time.monotonic())

    def _act(self, arrived: Sequence[HeldMessage], known: Mapping[str, KnownMessage]) -> None:
        """Store messages that are new, or whose objects are not stored; settle the others."""
        repeated = []
        for held in arrived:
            found = known.get(held.message.id)
            held.pipeline = held.message.pipeline
            if found and found.sha256 != held.message.sha256:
                self._refuse(held.address, str(_other_content(held.message)), self._release(held))
            elif found and found.is_stored:
                repeated.append(held)
            else:
                if found and found.pipeline in self._settings.pipelines:
                    held.pipeline = found.pipeline  # the camera's has changed since
                self._submit(held)
        self._confirm(repeated)

    def _release(self, held: HeldMessage) -> list[Receipt]:
        with self._changed:
            self._held.remove(held)
            return held.receipts

    def _confirm(self, stored: Sequence[HeldMessage]) -> None:
        if stored:
            settlement = Settlement([receipt for one in stored for receipt in self._release(one)])
            settlement.confirm(one.address for one in stored)
            self._settle(settlement)

    def _mark(self, stored: Sequence[HeldMessage]) -> None:
        """Remember whose minutes are to be counted again; before the first count it is all."""
        if self._marked is not None:
            for message in (one.message for one in stored):
                place = (message.camera, message.boot)
                low, high = self._marked.get(place, (message.number, message.number))
                self._marked[place] = (min(low, message.number), max(high, message.number))

    def _submit(self, held: HeldMessage) -> None:
        with suppress(RuntimeError):  # it is shut down
            self._executor.submit(self._put, held)

    def _put(self, held: HeldMessage) -> None:
        with self._changed:
            if self._is_stopping:
                return
            self._putting += 1
        try:
            bucket, message = self._settings.pipelines[held.pipeline].input, held.message
            content_type = kind_of(held.payload).content_type
            metadata = {PARENT: message.id, NUMBER: "1"}
            self._store.put(bucket, message.key, held.contents, content_type, metadata)
            problem = None
        except (ServiceUnavailable, UploadDeferred) as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  the message stays held
            _log.exception("put failed")
            problem = f"{type(error).__name__}: {error}"
        with self._changed:
            self._putting -= 1
            held.problem = problem
            if problem is None:
                self._stored.append(held)
            else:
                held.failures += 1
                moment = time.monotonic() + self._limits.pause_after(held.failures)
                self._later.append((moment, held))
            self._changed.notify()

    def _try_again(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [held for moment, held in self._later if moment <= now]
            self._later = [one for one in self._later if one[0] > now]
        for held in due:
            self._submit(held)

    def _do_periodic(self, ledger: MessageLedger) -> None:
        """Write the heartbeat, count minutes again and purge old rows, if it is time."""
        now = time.monotonic()
        if now < self._next_heartbeat:
            return
        with self._changed:
            problem = next((one.problem for one in self._held if one.problem), None)
        ledger.heartbeat(self._network_problem() or problem)
        if self._marked is None or self._marked:
            ledger.recount(self._marked)
        self._marked = {}
        if now >= self._next_purge:
            ledger.purge()
            self._next_purge = now + self._limits.purge
        self._next_heartbeat = now + self._limits.heartbeat


def _unknown(address: Address) -> MessageRefused:
    return MessageRefused(
        f"{address.camera[:40]!r} is not among the cameras of this stack: add it to the setting "
        "mqtt, or correct the topic."
    )


def _other_content(message: Message) -> MessageRefused:
    return MessageRefused(
        f"Another picture was sent as number {message.number} of {message.camera}/{message.boot}: "
        "give each picture a number of its own, and each start of the camera another name."
    )
