"""The machine is gone in the middle of its work: another one ends it, and does nothing twice."""

import signal
import subprocess
import threading
from urllib.parse import urlsplit

from bench.proxy import Proxy
from tests.eventually import patience
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

PHOTOS = {f"{number}.png": encode(picture(number), "PNG") for number in range(6)}


def test_another_machine_continues(versioned: Pipeline) -> None:
    """It vanishes while results are stored: their rows are missing, and its leases are held."""
    for key, photo in PHOTOS.items():
        versioned.put(key, photo)
    processes, has_started = list[subprocess.Popen[str]](), threading.Event()

    def vanish(_: int, phase: str, request: bytes) -> None:
        if phase == "after" and request.startswith(f"PUT /{versioned.output}".encode()):
            has_started.wait()
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()

    url = urlsplit(versioned.store.endpoint)
    with Proxy(str(url.hostname), int(url.port or 0), vanish) as proxy:
        versioned.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
        processes.append(versioned.popen("drain"))
        has_started.set()
        processes[0].communicate(timeout=60 * patience())
    assert processes[0].returncode == -signal.SIGKILL
    assert versioned.rows() == []
    began = versioned.sql("SELECT key FROM pipeline.attempts")
    assert began

    versioned.configure()
    text = versioned.settings.read_text()
    versioned.settings.write_text(text.replace('machine = "vm-1"', 'machine = "vm-2"'))
    # As after 30 s: until then the first machine has the leases of what it began.
    versioned.sql("UPDATE pipeline.leases SET until = now()")
    versioned.drain()
    assert versioned.left() == []
    rows = versioned.rows()
    assert sorted(row["key"] for row in rows) == sorted(PHOTOS)
    assert {(row["worker"], row["outcome"]) for row in rows} == {("vm-2", "done")}
    assert sorted(versioned.keys(versioned.output)) == sorted(f"negated_{key}" for key in PHOTOS)
