"""A connection to an MQTT broker (MQTT 3.1.1), served by the thread that uses it.

paho's own thread ends for good at an error in a callback, while the client still seems connected;
here every error arrives where `wait` is called.
"""

import os
import selectors
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import BrokerUnavailable, LoginRefused

_KEEPALIVE_SECONDS = 30
_ANSWER_SECONDS = 10.0
_STEP_SECONDS = 1.0  # between looks at the keepalive


class Connection:
    """A session without memory: what is not confirmed is known to the spool, not to the broker.

    Args:
        address: The broker's host and port.
        client: The client's id; the broker ends an older connection with the same.
        login: User and password, None for neither.
        tls: How the broker's certificate is verified, None for a connection without TLS.
        on_message: Called in `wait` with topic and payload.
        on_sent: Called in `wait` with what `publish` returned, once the broker has it.

    Raises:
        BrokerUnavailable: It cannot be reached, or does not answer.
        LoginRefused: It refuses user and password.
        ssl.SSLError: Its certificate is not valid.
    """

    def __init__(
        self,
        address: tuple[str, int],
        client: str,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        on_message: Callable[[str, bytes], None] = lambda _topic, _payload: None,
        on_sent: Callable[[int], None] = lambda _message: None,
    ) -> None:
        self._address = f"{address[0]}:{address[1]}"
        self._refusal: BrokerUnavailable | None = None
        self._is_open = False
        self._socket: Any = None  # paho's own type for it lacks fileno
        self._selector = selectors.DefaultSelector()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client, protocol=mqtt.MQTTv311, reconnect_on_failure=False
        )
        self._client.max_inflight_messages_set(0)  # the sender bounds them
        if login:
            self._client.username_pw_set(*login)
        if tls:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _client, _data, one: on_message(
            one.topic, bytes(one.payload)
        )
        # Called from within `publish` too: kept until `wait`, when the caller knows the number.
        self._sent: list[int] = []
        self._on_sent = on_sent
        self._client.on_publish = lambda _client, _data, mid, _code, _values: self._sent.append(mid)
        try:
            self._open(address)
        except BaseException:
            self.close()
            raise

    def _open(self, address: tuple[str, int]) -> None:
        try:
            self._client.connect(*address, keepalive=_KEEPALIVE_SECONDS)
        except ssl.SSLError:
            raise
        except OSError as error:
            raise BrokerUnavailable(
                f"The broker {self._address} cannot be reached"
                f" ({error.strerror or error or type(error).__name__})."
            ) from None
        self._socket = self._client.socket()
        self._selector.register(self._socket, selectors.EVENT_READ)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self._is_open:
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"The broker {self._address} does not answer.")
            self.wait(_STEP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def subscribe(self, *topics: str) -> None:
        """Subscribe to topics at QoS 1."""
        self._client.subscribe([(topic, 1) for topic in topics])

    def publish(self, topic: str, payload: bytes, qos: int) -> int:
        """Publish a message, or queue it until the socket takes it.

        Returns:
            A number for `on_sent`.
        """
        return self._client.publish(topic, payload, qos).mid

    def wake(self) -> None:
        """Let `wait` return; any thread may call this."""
        with suppress(OSError):  # closed meanwhile
            os.eventfd_write(self._woken, 1)

    def wait(self, seconds: float) -> None:
        """Handle what arrives, and send what is queued, for some seconds at most.

        Raises:
            BrokerUnavailable: The connection is lost.
        """
        if self._client.socket() is None:  # `publish` has found it closed
            raise BrokerUnavailable(f"The broker {self._address} has closed the connection.")
        if self._sent:
            seconds = 0
        events = selectors.EVENT_READ
        if self._client.want_write():
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._socket, events)
        ready = dict(self._selector.select(min(seconds, _STEP_SECONDS)))
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        for key, mask in ready.items():
            if key.fd == self._woken:
                os.eventfd_read(self._woken)
                continue
            if mask & selectors.EVENT_READ:
                code = self._client.loop_read()
            if mask & selectors.EVENT_WRITE and code == MQTTErrorCode.MQTT_ERR_SUCCESS:
                code = self._client.loop_write()
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = self._client.loop_misc()
        while self._sent:
            self._on_sent(self._sent.pop(0))
        if self._refusal:
            raise self._refusal
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerUnavailable(f"The broker {self._address} has closed the connection.")

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._selector.close()
        os.close(self._woken)

    def _on_connect(
        self, _client: object, _data: object, _flags: object, code: ReasonCode, _values: object
    ) -> None:
        if code.is_failure:
            kind = LoginRefused if "authorized" in str(code) or "password" in str(code) else None
            self._refusal = (kind or BrokerUnavailable)(
                f"The broker {self._address} refused the login: {str(code).lower()}."
            )
        self._is_open = not code.is_failure
