"""`python -m tests.mqtt.camera FOLDER`: makes pictures, and keeps each until it is confirmed.

It may be killed at any moment: `generated` lists what counts as generated, and `spool` has of it
what is not confirmed. It ends when all pictures and the counters of each start are confirmed. At
QoS 0 a picture is sent once, as soon as the broker is reached.
"""

import hashlib
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

_WINDOW, _REPEAT_SECONDS = 24, 1.5
_MINUTE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Plan:
    """What a camera does."""

    port: int  # of the broker
    password: str
    name: str = "door"
    qos: int = 1
    count: int = 200  # pictures, over all starts
    pause: float = 0.05  # seconds between two
    largest: int = 40_000  # bytes of a picture

    def save(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "plan.json").write_text(json.dumps(asdict(self)))


def generated(folder: Path) -> dict[tuple[str, int], str]:
    """Return the pictures that a camera has generated: boot and number, SHA-256."""
    path = folder / "generated"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = (line.split() for line in lines)
    return {(boot, int(number)): sha256 for boot, number, sha256 in rows}


class Camera:
    """One start of the camera."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._spool = folder / "spool"
        self._spool.mkdir(exist_ok=True)
        self._boot, self._number = secrets.token_hex(4), 0
        self._lock = threading.Lock()
        self._confirmed: set[str] = set()
        self._sent: dict[str, float] = {}
        self._client = client = Client(CallbackAPIVersion.VERSION2, f"camera-{plan.name}")
        client.username_pw_set("camera", plan.password)
        client.reconnect_delay_set(1, 1)
        client.on_message = self._answer
        client.on_connect = self._subscribe

    def run(self) -> None:
        """Make and send pictures until all are confirmed."""
        made = generated(self._folder)
        for path in self._spool.glob("*.new"):  # the last start was killed before it had a name
            boot, _, number = path.stem.partition(".")
            if (boot, int(number)) in made:
                path.rename(path.with_suffix(""))
            else:
                path.unlink()
        self._client.connect_async("127.0.0.1", self._plan.port)
        self._client.loop_start()
        left, due = self._plan.count - len(made), time.monotonic()
        while left or any(self._spool.iterdir()):
            if left and time.monotonic() >= due:
                self._make()
                left, due = left - 1, due + self._plan.pause
            self._send_pictures()
            time.sleep(0.01)
        while any(self._counters()):
            for name, topic, content in self._counters():
                self._send(name, topic, content, 1)
            time.sleep(0.05)

    def _make(self) -> None:
        self._number += 1
        size = 1 + secrets.randbelow(self._plan.largest)
        content = secrets.token_bytes(size)
        path = self._spool / f"{self._boot}.{self._number}"
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        with (self._folder / "generated").open("a") as file:
            file.write(f"{self._boot} {self._number} {sha256}\n")
        new.rename(path)

    def _send_pictures(self) -> None:
        with self._lock:
            for name in self._confirmed:
                (self._spool / name).unlink(missing_ok=True)
            self._confirmed.clear()
        for path in sorted(self._spool.iterdir(), key=os.path.getmtime)[:_WINDOW]:
            boot, _, number = path.name.partition(".")
            topic = f"image-pipeline/{self._plan.name}/{boot}/{number}"
            is_sent = self._send(path.name, topic, path.read_bytes(), self._plan.qos)
            if is_sent and self._plan.qos == 0:
                path.unlink()

    def _send(self, name: str, topic: str, content: bytes, qos: int) -> bool:
        now = time.monotonic()
        if not self._client.is_connected() or now - self._sent.get(name, 0) < _REPEAT_SECONDS:
            return False
        self._sent[name] = now
        self._client.publish(topic, content, qos)
        return True

    def _counters(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield what is not confirmed: a minute for each start of the camera."""
        boots: dict[str, list[int]] = {}
        for boot, number in generated(self._folder):
            boots.setdefault(boot, []).append(number)
        for boot, numbers in boots.items():
            name = f"{boot}.minute"
            if (self._folder / name).exists():
                continue
            counted: dict[str, Any] = {
                "minute": _MINUTE.isoformat(),
                "first": 1,
                "last": max(numbers),
                "generated": len(numbers),
                "dropped": 0,
                "bytes": 0,
                "qos": self._plan.qos,
                "clock": datetime.now(UTC).isoformat(),
            }
            topic = f"image-pipeline/{self._plan.name}/{boot}/counters"
            yield name, topic, json.dumps(counted).encode()

    def _subscribe(self, client: Client, *_: object) -> None:
        client.subscribe(f"image-pipeline/{self._plan.name}/+/confirmed", 1)

    def _answer(self, _: Client, __: object, message: MQTTMessage) -> None:
        answer, boot = json.loads(message.payload), message.topic.split("/")[2]
        if "refused" in answer:
            (self._folder / "refused").write_text(answer["refused"])
            return
        if "minute" in answer:
            (self._folder / f"{boot}.minute").touch()
            return
        numbers = answer.get("numbers") or [answer["number"]]
        with self._lock:
            self._confirmed |= {f"{boot}.{number}" for number in numbers}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    Camera(place, Plan(**json.loads((place / "plan.json").read_text()))).run()
