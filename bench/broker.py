"""A broker to measure with: mosquitto, without passwords and without a file of its queues."""

import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from local import processes
from local.ports import free_port, listens
from worker.errors import PipelineError

LOG = "mosquitto.log"


@contextmanager
def broker(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a broker.

    Args:
        folder: For its configuration and its log (`LOG`), which records each subscription.

    Yields:
        Its port and its process's id.

    Raises:
        PipelineError: This computer has none.
    """
    port, program = free_port(), processes.find_program("mosquitto")
    if program is None:
        raise PipelineError("mosquitto is missing: install Debian's package of this name.")
    file = folder / "mosquitto.conf"
    file.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        f"log_dest file {folder / LOG}\nlog_type error\nlog_type subscribe\nuser root\n"
    )
    process = subprocess.Popen([program, "-c", str(file)])
    try:
        while process.poll() is None and not listens(port):
            time.sleep(0.02)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def publish(port: int, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish messages; return once the broker has all of them.

    Args:
        port: The broker's.
        messages: Their topics and payloads.
    """
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, 1).wait_for_publish()
    client.disconnect()
    client.loop_stop()
