"""Cameras, videos and faces, with the packages of an edge device: OpenCV and the model."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cli import edge_device
from tests.checkout import PROJECT
from tests.edge.devices import Broker, Cloud, Device, broker, cloud
from tests.eventually import eventually

PORTRAIT = PROJECT / "examples/faces/data/astronaut.jpg"


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an edge device."""
    return edge_device.python()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("video") / "visitor.avi"
    edge_device.make_film(PORTRAIT, made)
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture
def store(shared: Broker) -> Iterator[Cloud]:
    with cloud(shared.port) as made:
        yield made


@pytest.fixture
def device(tmp_path: Path, shared: Broker, python: Path) -> Device:
    return Device(tmp_path, shared.port, python)


def sizes(store: Cloud) -> list[tuple[int, int]]:
    """Return the sizes of the pictures that arrived."""
    return [Image.open(BytesIO(copies[0])).size for copies in store.pictures.values()]


def test_faces_of_a_video_arrive(device: Device, store: Cloud, video: Path) -> None:
    shutil.copy(video, device.folder / "visitor.avi")
    device.configure('source = "visitor.avi"\ndetect = "faces"')
    done = device.run()
    assert done.returncode == 0, done.stderr
    found = sizes(store)
    # Four frames of two seconds show the portrait, and the gate closes after the last motion.
    assert len(found) == 4
    # The face is at (182, 58, 270, 178); a crop has a margin of a fifth at each side.
    assert all(90 < width < 180 and 120 < height < 240 for width, height in found)


def test_whole_frames_of_a_video_at_its_own_pace(device: Device, store: Cloud, video: Path) -> None:
    shutil.copy(video, device.folder / "visitor.avi")
    device.configure(
        'source = "visitor.avi"\ndetect = "none"', "[motion]\nenabled = false",
        frames_per_second=5,
    )  # fmt: skip
    assert device.run().returncode == 0
    assert sizes(store) == [(512, 512)] * 30


def test_a_frame_with_a_face_can_be_sent_whole(device: Device, store: Cloud) -> None:
    (device.folder / "pictures").mkdir()
    shutil.copy(PORTRAIT, device.folder / "pictures/1.jpg")
    shutil.copy(PROJECT / "samples/cat.jpg", device.folder / "pictures/2.jpg")
    device.configure('detect = "faces"', '[faces]\nsend = "frame"')
    assert device.run().returncode == 0
    with Image.open(PORTRAIT) as portrait:
        assert sizes(store) == [portrait.size]


def test_files_that_are_no_video_are_one_sentence(device: Device) -> None:
    (device.folder / "text.avi").write_text("no video")
    device.configure('source = "text.avi"')
    done = device.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("text.avi is in no format that OpenCV reads.")


def test_a_camera_that_is_not_there_is_one_sentence(device: Device) -> None:
    device.configure('source = "/dev/video99"', timeout_seconds=1)
    done = device.run("check")
    assert done.returncode == 1
    assert "FAULT  /dev/video99 cannot be opened: is it connected, used by" in done.stdout


class NetworkCamera(ThreadingHTTPServer):
    """A camera on the network that sends JPEGs (multipart/x-mixed-replace) until unplugged."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Stream)
        self.frame = PORTRAIT.read_bytes()
        self.unplugged = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def unplug(self) -> None:
        self.unplugged.set()
        self.shutdown()
        self.server_close()


class _Stream(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        camera = self.server
        assert isinstance(camera, NetworkCamera)
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(camera.frame)}\r\n\r\n"
        while not camera.unplugged.wait(0.05):
            self.wfile.write(head.encode() + camera.frame + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_camera_that_disappears_is_opened_again(device: Device, store: Cloud) -> None:
    camera = NetworkCamera(0)
    port = camera.server_port
    device.configure(
        f'source = "http://viewer:hunter2@127.0.0.1:{port}/stream.mjpg"',
        "[motion]\nenabled = false",
        frames_per_second=10, timeout_seconds=2,
    )  # fmt: skip
    (device.folder / "edge.toml").chmod(0o600)
    with device.running():
        eventually(lambda: len(store.pictures) > 3, what="pictures arrive")
        camera.unplug()
        eventually(lambda: "http://127.0.0.1" in device.log and "no more frames" in device.log)
        before = len(store.pictures)
        again = NetworkCamera(port)
        eventually(lambda: len(store.pictures) > before + 3, what=f"pictures again: {device.log}")
        eventually(lambda: "Capture goes on." in device.log)
        again.unplug()
    assert "hunter2" not in device.log
    assert len({boot for boot, _ in store.pictures}) == 1
    assert sizes(store)[-1] == (512, 512)
