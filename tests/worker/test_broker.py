"""The broker's configuration, in a real mosquitto: who may connect, write and read."""

import os
import queue
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from clients.certificates import issue, make_authority, public_part
from local.processes import find_program
from tests.eventually import eventually, patience
from tests.ports import reserved_port

MOSQUITTO = find_program("mosquitto")
USERS = {"ingest": "of-ingest", "door": "of-door", "gate": "of-gate"}
SECONDS = 60 * patience()


@dataclass
class Broker:
    """A running broker."""

    folder: Path
    port: int
    cameras_port: int

    def run(self) -> subprocess.Popen[bytes]:
        """Start it as its unit does."""
        folders = {
            f"{name.upper()}_DIRECTORY": str(self.folder / name)
            for name in ("runtime", "credentials", "state")
        }
        options = ["--address", "127.0.0.1", "--program", str(MOSQUITTO)]
        ports = ["--port", str(self.port), "--cameras-port", str(self.cameras_port)]
        return subprocess.Popen(
            [sys.executable, "-m", "worker.broker", *options, *ports],
            env={**os.environ, **folders},
            stderr=subprocess.DEVNULL,
        )

    def connect(self, user: str, password: str = "", authority: str = "authority.pem") -> Client:
        """Connect as a camera, or as `ingest` on its own port; fail if the user is refused."""
        client = Client(CallbackAPIVersion.VERSION2)
        if user:
            client.username_pw_set(user, password or USERS[user])
        port = self.port
        if user != "ingest":
            client.tls_set(str(self.folder / authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
            port = self.cameras_port
        answers: queue.Queue[bool] = queue.Queue()
        client.on_connect = lambda *found: answers.put(not found[3].is_failure)
        client.connect("127.0.0.1", port)
        client.loop_start()
        try:
            accepted = answers.get(timeout=SECONDS)
        finally:
            client.on_connect = None
        if not accepted:
            client.loop_stop()
            raise ConnectionRefusedError
        return client


def prepare(folder: Path) -> Broker:
    """Return a broker that does not run yet, with the credentials that its unit would load."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    for name in ("runtime", "credentials", "state"):
        (folder / name).mkdir()
    authority, other = make_authority(), make_authority()
    (folder / "authority.pem").write_text(public_part(authority))
    (folder / "other.pem").write_text(public_part(other))
    files = {
        "broker-password": USERS["ingest"],
        "camera-door": USERS["door"],
        "camera-gate": f"{USERS['gate']}\n",
        "interface-certificate": issue("server", authority, "127.0.0.1"),
    }
    for name, text in files.items():
        (folder / "credentials" / name).write_text(text)
    return Broker(folder, reserved_port(), reserved_port())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = prepare(tmp_path_factory.mktemp("broker"))
    with serving(made):
        yield made


@contextmanager
def serving(made: Broker) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a broker, and end it."""
    process = made.run()
    try:
        eventually(lambda: accepts(made), what="the broker accepts connections")
        yield process
    finally:
        process.terminate()
        process.wait()


def accepts(made: Broker) -> bool:
    try:
        leave(made.connect("ingest"))
    except OSError:
        return False
    return True


def leave(*clients: Client) -> None:
    for client in clients:
        client.disconnect()
        client.loop_stop()


def subscribe(client: Client, topic: str) -> "queue.Queue[MQTTMessage]":
    """Subscribe, and return what arrives once the broker has answered."""
    arrived: queue.Queue[MQTTMessage] = queue.Queue()
    answered: queue.Queue[bool] = queue.Queue()
    client.on_message = lambda _client, _data, message: arrived.put(message)
    client.on_subscribe = lambda *_: answered.put(True)
    client.subscribe(topic, qos=1)
    answered.get(timeout=SECONDS)
    return arrived


def publish(client: Client, topic: str, text: str) -> None:
    client.publish(topic, text, qos=1).wait_for_publish(SECONDS)


def test_cameras_write_below_their_own_name_only(running: Broker) -> None:
    ingest = running.connect("ingest")
    arrived = subscribe(ingest, "image-pipeline/#")
    for topic in (
        *("image-pipeline/gate/boot/1", "image-pipeline/doorstep/boot/1", "elsewhere/door/1"),
        "image-pipeline/door/boot/1",
    ):
        door = running.connect("door")  # mosquitto ends the connection of one that is denied
        publish(door, topic, topic)
        leave(door)
    assert arrived.get(timeout=SECONDS).payload == b"image-pipeline/door/boot/1"
    assert arrived.empty()
    leave(ingest)


def test_cameras_read_their_own_confirmations_only(running: Broker) -> None:
    ingest, door, gate = (running.connect(user) for user in USERS)
    arrived = subscribe(door, "#")
    publish(gate, "image-pipeline/gate/boot/1", "a picture of gate")
    publish(door, "image-pipeline/door/boot/1", "its own picture")
    publish(ingest, "image-pipeline/gate/boot/confirmed", "of gate")
    publish(ingest, "image-pipeline/door/boot/confirmed", "of door")
    assert arrived.get(timeout=SECONDS).payload == b"of door"
    assert arrived.empty()
    leave(ingest, door, gate)


def test_ingest_sends_confirmations_only(running: Broker) -> None:
    listener = running.connect("ingest")
    arrived = subscribe(listener, "image-pipeline/#")
    for topic in ("image-pipeline/door/boot/1", "image-pipeline/door/boot/confirmed"):
        ingest = running.connect("ingest")
        publish(ingest, topic, topic)
        leave(ingest)
    assert arrived.get(timeout=SECONDS).payload == b"image-pipeline/door/boot/confirmed"
    leave(listener)


@pytest.mark.parametrize(
    ("user", "password"),
    [("door", "of-gate"), ("gate", "of-gate\n"), ("window", "of-door"), ("", "")],
)
def test_strangers_are_refused(running: Broker, user: str, password: str) -> None:
    with pytest.raises(ConnectionRefusedError):
        running.connect(user, password)


def test_broker_proves_itself_by_its_certificate(running: Broker) -> None:
    leave(running.connect("door"))
    with pytest.raises(ssl.SSLCertVerificationError):
        running.connect("door", authority="other.pem")


def test_cameras_need_tls(running: Broker) -> None:
    plain = Client(CallbackAPIVersion.VERSION2)
    plain.username_pw_set("door", USERS["door"])
    refused: queue.Queue[bool] = queue.Queue()
    plain.on_disconnect = lambda *_: refused.put(True)
    plain.connect("127.0.0.1", running.cameras_port)
    plain.loop_start()
    assert refused.get(timeout=SECONDS)
    plain.loop_stop()


def test_files_of_the_broker_are_private(running: Broker) -> None:
    files = list((running.folder / "runtime").iterdir())
    assert {file.name for file in files} == {"acl", "mosquitto.conf", "passwords"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    text = (running.folder / "runtime/passwords").read_text()
    assert not any(password in text for password in USERS.values())


def test_acknowledged_message_survives_a_killed_broker(tmp_path: Path) -> None:
    """Except in the last second: cameras keep theirs until they are confirmed."""
    made = prepare(tmp_path)
    with serving(made) as process:
        durable = connect_durably(made)
        subscribe(durable, "image-pipeline/#")
        leave(durable)
        door = made.connect("door")
        publish(door, "image-pipeline/door/boot/1", "kept")
        leave(door)
        stored = tmp_path / "state/mosquitto.db"
        eventually(lambda: stored.exists() and b"kept" in stored.read_bytes(), SECONDS)
        process.kill()
    with serving(made):
        arrived: queue.Queue[MQTTMessage] = queue.Queue()
        durable = connect_durably(made, arrived)
        assert arrived.get(timeout=SECONDS).payload == b"kept"
        leave(durable)


def connect_durably(made: Broker, arrived: "queue.Queue[MQTTMessage] | None" = None) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, "durable", clean_session=False)
    client.username_pw_set("ingest", USERS["ingest"])
    if arrived is not None:
        client.on_message = lambda _client, _data, message: arrived.put(message)
    client.connect("127.0.0.1", made.port)
    client.loop_start()
    return client
