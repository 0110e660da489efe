"""Where this computer has mosquitto, a camera sends faces too; the records are shown."""

from collections.abc import Sequence
from dataclasses import replace

from cli import edge_kit
from cli.edge_device import EdgeDevice, make_film
from cli.examples.interface import Deployed, Plan, Results, Setup
from cli.terminal import print_progress, spinner
from local import processes

_CAMERA = "door"
_LOOPBACK = "127.0.0.1"


def prepare(setup: Setup, plan: Plan) -> Plan:
    """Add a camera to the stack, if it can be shown here."""
    if processes.find_program("mosquitto") is None:
        print_progress("No camera is shown: mosquitto is not installed on this computer.")
        return plan
    if setup.host != _LOOPBACK:
        print_progress("No camera is shown: the broker of a machine that boots cannot be reached.")
        return plan
    pipeline = next(iter(plan.pipelines))
    cameras = {_CAMERA: {"pipeline": pipeline}}
    return replace(plan, settings={"mqtt": {"cidrs": [f"{_LOOPBACK}/32"], "cameras": cameras}})


def send(deployed: Deployed) -> Sequence[str]:
    """Let a camera film a visitor; its device is a folder, with a broker of its own."""
    if not deployed.plan.settings:
        return []
    kit = replace(edge_kit.read(deployed.target, _CAMERA), source="film.avi")
    device = EdgeDevice(deployed.setup.folder / "device", kit)
    device.folder.mkdir(mode=0o700)
    with spinner("Preparing the camera: its packages are installed once, 70 MB"):
        make_film(deployed.plan.data / "astronaut.jpg", device.folder / "film.avi")
    port = deployed.setup.start_server("device-broker", device.broker_command)
    # As fast as it goes, and whole frames: the pipeline cuts the faces out.
    faster = {"[capture]": "[capture]\nreal_time = false", 'send = "crops"': 'send = "frame"'}
    device.configure(port, faster)
    with spinner("A camera films a visitor"):
        device.run()
    rows = deployed.read("select key from messages where stored_at is not null order by key")
    return [str(key) for (key,) in rows]


def show(results: Results) -> None:
    """Show the records: a row per face; and what the camera counted."""
    results.sql("select key, x, y, width, height, score, result_key from faces order by key, face")
    results.sql("select camera, minute, generated, received, bytes from camera_minutes")
