"""The connection to the broker: reads messages, sends back what is settled.

It has a loop of its own instead of paho's thread: reading pauses while too much is held, which no
callback can do without stopping acknowledgements too, and nothing is left to watch: if the loop
ends, the process does.
"""

import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from worker.broker import INGEST_USER
from worker.errors import ServiceUnavailable
from worker.ingest.held_messages import Receipt
from worker.ingest.pictures import MAX_BYTES
from worker.ingest.settlement import Settlement
from worker.ingest.topics import ALL
from worker.logs import fields

_HOST = "127.0.0.1"
_NEVER = 0xFFFFFFFF  # MQTT 5, 3.1.2.11.2: the session does not expire
#: The broker keeps larger messages from this process, which would hold them twice (MQTT 5,
#: 3.1.2.11.4); what is a little too large arrives, and is refused in words.
_MAX_PACKET_BYTES = 2 * MAX_BYTES
_QOS = 1
_RETRY_SECONDS, _ANSWER_SECONDS = 1, 10
_DO_NOT_SEND_RETAINED = 2
_log = logging.getLogger(__name__)


class Subscription:
    """A durable subscription to everything that cameras send; one thread runs it.

    Args:
        port: The broker's, on the loopback interface.
        password: Of the user `ingest`.
        session: The client id. The broker gives a session to whoever connects with its id, so no
            camera may know it.
    """

    def __init__(self, port: int, password: str, session: str) -> None:
        self._port = port
        self._settlements = queue.SimpleQueue[Settlement]()
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._stopped = threading.Event()
        self._connection, self._connected_at = 0, 0.0
        self._receive: Callable[[str, bytes, Receipt], None]
        self._problem: str | None = "The connection to the broker has just begun."
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            session,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        client.username_pw_set(INGEST_USER, password)
        client.max_inflight_messages_set(0)  # confirmations are small
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._subscribed, self._message

    @property
    def problem(self) -> str | None:
        """Why nothing can arrive, None if it can."""
        return self._problem

    def settle(self, settlement: Settlement) -> None:
        """Send back what is done with, soon; from any thread."""
        self._settlements.put(settlement)
        self._wake()

    def stop(self) -> None:
        """End `run` soon; from any thread."""
        self._stopped.set()
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:  # it is awake
            return

    def run(
        self,
        receive: Callable[[str, bytes, Receipt], None],
        is_full: Callable[[], bool],
        is_alive: Callable[[], bool],
    ) -> None:
        """Read messages until `stop`, connecting again whenever the connection ends.

        Args:
            receive: Takes a message: topic, payload, receipt. It must not raise.
            is_full: Whether nothing may be read now; a settlement ends that.
            is_alive: Whether messages are still processed.

        Raises:
            ServiceUnavailable: They are not: the process must start again.
        """
        self._receive = receive
        while not self._stopped.is_set():
            if not is_alive():
                raise ServiceUnavailable("A thread of ingest has ended: see the log.")
            if self._client.socket() is None:
                self._connect()
            self._turn(reads=not is_full())

    def finish(self) -> None:
        """Send back what is settled, and disconnect; after `run`."""
        self._send_back()
        while self._client.socket() is not None and self._client.want_write():
            self._turn(reads=False)
        self._client.disconnect()

    def _connect(self) -> None:
        """Open a connection, or wait."""
        since = time.monotonic() - self._connected_at
        if since < _RETRY_SECONDS:
            self._stopped.wait(_RETRY_SECONDS - since)
        self._connected_at = time.monotonic()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _NEVER
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        self._connection += 1
        try:
            # On the loopback interface the kernel reports that the other end has died. Pings would
            # not be answered in time while nothing is read.
            self._client.connect(
                _HOST, self._port, keepalive=0, clean_start=False, properties=properties
            )
        except OSError as error:
            self._fail(f"did not respond ({error.strerror or error}): see its log")

    def _turn(self, *, reads: bool) -> None:
        """Wait for something to do, at most a second, and do it."""
        connection: Any = self._client.socket()
        if connection is None:
            return
        readers = [self._wake_read, *([connection] if reads else [])]
        writers = [connection] if self._client.want_write() else []
        readable, writable, _ = select.select(readers, writers, [], 1)
        if self._wake_read in readable:
            os.read(self._wake_read, 1 << 16)
        self._send_back()
        if connection in readable:
            self._client.loop_read()
        if connection in writable and self._client.socket():
            self._client.loop_write()
        is_late = time.monotonic() - self._connected_at > _ANSWER_SECONDS
        if self._problem and is_late and reads:
            self._fail(f"sent no answer for {_ANSWER_SECONDS} s: see its log")
            self._client.disconnect()

    def _send_back(self) -> None:
        while not self._settlements.empty():
            settlement = self._settlements.get()
            for receipt in settlement.receipts:
                # What came over an earlier connection is sent again over this one.
                if receipt.qos and receipt.connection == self._connection:
                    self._client.ack(receipt.mid, receipt.qos)
            for topic, payload in settlement.confirmations:
                self._client.publish(topic, payload, _QOS)

    def _fail(self, problem: str) -> None:
        problem = f"The broker at {_HOST}:{self._port} {problem}."
        if problem != self._problem:
            _log.info("broker", extra=fields(obstacle=problem))
        self._problem = problem

    def _connected(
        self, client: Client, _: object, __: ConnectFlags, reason: ReasonCode, ___: object
    ) -> None:
        if reason.is_failure:
            self._fail(f"refused login for {INGEST_USER!r} ({reason}): renew the broker's password")
            return
        options = SubscribeOptions(_QOS, noLocal=True, retainHandling=_DO_NOT_SEND_RETAINED)
        client.subscribe(ALL, options=options)

    def _subscribed(
        self, _: Client, __: object, ___: int, reasons: list[ReasonCode], ____: object
    ) -> None:
        if reasons[0].is_failure:
            self._fail(f"refused the subscription to {ALL} ({reasons[0]}): check its ACL")
        else:
            self._problem = None
            _log.info("subscribed")

    def _disconnected(
        self, _: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: object
    ) -> None:
        if self._problem is None and not self._stopped.is_set():
            self._fail(f"ended the connection ({reason}): see its log")

    def _message(self, client: Client, _: object, message: MQTTMessage) -> None:
        receipt = Receipt(self._connection, message.mid, message.qos)
        if message.retain:
            client.ack(message.mid, message.qos)
        else:
            self._receive(message.topic, bytes(message.payload), receipt)
