"""A device with its broker, and a cloud that confirms what it gets."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image

from local.processes import find_program
from tests.checkout import PROJECT
from tests.eventually import eventually, patience
from tests.ports import reserved_port

CAMERA = "door"


def mosquitto() -> str:
    """Return the program; skip the test where it is not installed."""
    if (program := find_program("mosquitto")) is None:
        pytest.skip("mosquitto is not installed (Debian package 'mosquitto')")
    return program


@dataclass
class Broker:
    """A mosquitto, whose sessions end with it.

    Attributes:
        folder: Its own.
        lines: Of its configuration.
        port: The first listener's.
    """

    folder: Path
    lines: str = "allow_anonymous true"
    port: int = field(default_factory=reserved_port)

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "mosquitto.conf"
        path.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{self.lines}\n")
        with (self.folder / "log").open("ab") as log:
            self._child = subprocess.Popen([mosquitto(), "-c", path], stdout=log, stderr=log)
        eventually(self._listens, what=f"mosquitto listens: see {self.folder}/log")
        return self

    def _listens(self) -> bool:
        assert self._child.poll() is None, (self.folder / "log").read_text()
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        try:
            client.connect("127.0.0.1", self.port)
        except OSError:
            return False
        client.disconnect()
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        self._child.send_signal(number)
        self._child.wait()


@contextmanager
def broker(folder: Path, lines: str = "allow_anonymous true") -> Iterator[Broker]:
    """Run a broker for a block."""
    made = Broker(folder, lines).start()
    try:
        yield made
    finally:
        made.stop()


class Cloud:
    """Takes what cameras publish, and confirms it.

    Args:
        port: Of the broker.

    Attributes:
        pictures: (boot, number) -> contents, in the order of their arrival.
        counters: (boot, minute) -> the counters that arrived.
        confirms: Whether it confirms pictures.
        refusals: Number of a picture -> why it is refused.
    """

    def __init__(self, port: int) -> None:
        self.pictures: dict[tuple[str, int], list[bytes]] = {}
        self.counters: dict[tuple[str, str], dict[str, Any]] = {}
        self.confirms = True
        self.refusals: Mapping[int, str] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = self._receive
        self._client.on_connect = lambda client, *_: client.subscribe("image-pipeline/#", 1)
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(60 * patience())

    @property
    def minutes(self) -> list[dict[str, Any]]:
        """The counters, in the order of their arrival; a camera may send them again."""
        return list(self.counters.values())

    def confirm_all(self) -> None:
        """Confirm what has arrived, and from now on what arrives."""
        self.confirms = True
        for boot, number in list(self.pictures):
            self.publish(f"image-pipeline/{CAMERA}/{boot}/confirmed", b'{"number": %d}' % number)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, 1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _receive(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        _, camera, boot, last = message.topic.split("/")
        answer: dict[str, object] = {}
        if last == "counters":
            counted = json.loads(message.payload)
            self.counters[boot, counted["minute"]] = counted
            answer = {"minute": counted["minute"]}
        elif last.isdigit():
            number = int(last)
            self.pictures.setdefault((boot, number), []).append(bytes(message.payload))
            if number in self.refusals:
                answer = {"number": number, "refused": self.refusals[number]}
            elif self.confirms:
                answer = {"number": number}
        if answer:
            client.publish(f"image-pipeline/{camera}/{boot}/confirmed", json.dumps(answer), 1)


@contextmanager
def cloud(port: int) -> Iterator[Cloud]:
    """Run a cloud for a block."""
    made = Cloud(port)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Device:
    """A folder with settings, and `python -m edge` with them.

    Attributes:
        folder: It.
        port: Of its broker.
        python: What runs it; ours has no OpenCV.
    """

    folder: Path
    port: int
    python: Path = Path(sys.executable)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def pending(self) -> list[str]:
        """Return the names of the pictures in the spool."""
        return sorted(path.name for path in (self.spool / "pending").glob("*"))

    def configure(self, top: str = "", more: str = "", **capture: object) -> None:
        """Write settings: a folder of pictures, without faces, as fast as it goes."""
        values = {"real_time": False, **capture}
        table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
        top = top if "detect" in top else f'detect = "none"\n{top}'
        top = top if "source" in top else f'source = "pictures"\n{top}'
        (self.folder / "edge.toml").write_text(
            f'camera = "{CAMERA}"\n{top}\n[capture]\n{table}\n[broker]\nport = {self.port}\n{more}'
        )

    def fill(self, count: int, size: int = 0) -> list[bytes]:
        """Write JPEGs into the folder `pictures`.

        Args:
            count: How many.
            size: The bytes of each, at least; a JPEG may end with anything.

        Returns:
            Their contents in the order in which they are read.
        """
        (self.folder / "pictures").mkdir(exist_ok=True)
        contents = []
        for number in range(count):
            coded = BytesIO()
            Image.new("RGB", (32, 24), (number % 256, 80, 120)).save(coded, "JPEG")
            contents.append(coded.getvalue() + bytes(max(0, size - coded.tell())))
            (self.folder / "pictures" / f"{number:04}.jpg").write_bytes(contents[-1])
        return contents

    def command(self, name: str) -> list[str]:
        settings = self.folder / "edge.toml"
        return [str(self.python), "-m", "edge", name, "--settings", str(settings)]

    def run(self, name: str = "run", seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self.command(name), capture_output=True, text=True, check=False,
            timeout=seconds * patience(), env=self._environment(),
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[str]"]:
        """Run the camera for a block; `log` has what it prints."""
        with (self.folder / "log").open("ab") as log:
            child = subprocess.Popen(
                self.command("run"), stderr=log, text=True, env=self._environment()
            )
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "STATE_DIRECTORY"}
        return {**kept, "PYTHONPATH": str(PROJECT)}
