"""Where this computer has mosquitto, a camera sends faces too; the records are shown."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cli import edge_kit
from cli.edge_kit import Kit
from cli.errors import CommandError
from cli.examples.interface import Deployed, Plan, Results, Setup
from cli.paths import CHECKOUT, cache_folder
from cli.terminal import print_progress, spinner
from local import private_file
from worker.preparation import virtual_environment

_CAMERA = "door"
_LOOPBACK = "127.0.0.1"
#: Where Debian has programs that a user's PATH may leave out.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
# Two seconds of a grey wall, two of a visitor, two of the wall, ten frames a second (Motion JPEG).
_FILM = """
import sys, cv2, numpy
visitor = cv2.imread(sys.argv[1])
wall = numpy.full_like(visitor, 128)
height, width = wall.shape[:2]
video = cv2.VideoWriter(sys.argv[2], cv2.VideoWriter_fourcc(*"MJPG"), 10, (width, height))
for second in range(6):
    for _ in range(10):
        video.write(visitor if second in (2, 3) else wall)
video.release()
"""


def prepare(setup: Setup, plan: Plan) -> Plan:
    """Add a camera to the stack, if it can be shown here."""
    if _mosquitto() is None:
        print_progress("No camera is shown: mosquitto is not installed on this computer.")
        return plan
    if setup.host != _LOOPBACK:
        print_progress("No camera is shown: the broker of a machine that boots is not reached.")
        return plan
    pipeline = next(iter(plan.pipelines))
    cameras = {_CAMERA: {"pipeline": pipeline}}
    return replace(plan, settings={"mqtt": {"cidrs": [f"{_LOOPBACK}/32"], "cameras": cameras}})


def send(deployed: Deployed) -> Sequence[str]:
    """Let a camera film a visitor; its device is a folder, with a broker of its own."""
    if not deployed.plan.settings:
        return []
    device = deployed.setup.folder / "device"
    device.mkdir(mode=0o700)
    with spinner("Preparing the camera: its packages are installed once, 70 MB"):
        venvs = cache_folder() / "prepared/venvs"
        python = virtual_environment(venvs, CHECKOUT / "edge/requirements.txt", "the camera")
        visitor = deployed.plan.data / "astronaut.jpg"
        _run([str(python), "-c", _FILM, str(visitor), str(device / "film.avi")])
    kit = replace(edge_kit.read(deployed.target, _CAMERA), source="film.avi")
    port = deployed.setup.start_server("device-broker", lambda port: _broker(kit, device, port))
    settings = replace(kit, port=port).filled("edge.toml")
    # As fast as it goes, and whole frames: the pipeline cuts the faces out.
    settings = settings.replace("[capture]", "[capture]\nreal_time = false")
    settings = settings.replace('send = "crops"', 'send = "frame"')
    private_file.write(device / "edge.toml", settings)
    private_file.write(device / "local-password", kit.local_password)
    with spinner("A camera films a visitor"):
        _run([str(python), "-m", "edge", "run", "--settings", str(device / "edge.toml")])
    rows = deployed.read("select key from messages where stored_at is not null order by key")
    return [str(key) for (key,) in rows]


def show(results: Results) -> None:
    """Show the records: a row per face; and what the camera counted."""
    results.sql("select key, x, y, width, height, score, result_key from faces order by key, face")
    results.sql("select camera, minute, generated, received, bytes from camera_minutes")


def _broker(kit: Kit, device: Path, port: int) -> list[str]:
    """Write the configuration of the device's broker; return its command line."""
    for name, text in replace(kit, port=port).broker_files(str(device), str(device)).items():
        private_file.write(device / name, text)
    return [_mosquitto() or "mosquitto", "-c", str(device / "mosquitto.conf")]


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=_PATH)


def _run(command: list[str]) -> None:
    """Run a program of the camera; raise CommandError with its last line if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise CommandError(f"The camera failed: {last}")
