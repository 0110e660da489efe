"""The edge's image: it finds faces and sends them until they are confirmed, as its own user."""

import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image as Picture

from tests.checkout import PROJECT
from tests.containers.images import VERSION, Image
from tests.edge.devices import Device, broker, cloud

DATA = PROJECT / "examples" / "faces" / "data"


def test_it_sends_the_faces_of_pictures(edge: Image, open_folder: Path, tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as local, cloud(local.port) as store:
        device = Device(open_folder, local.port)
        device.configure('detect = "faces"')
        pictures = open_folder / "pictures"
        pictures.mkdir()
        for name in ("astronaut.jpg", "cat.jpg"):
            shutil.copy(DATA / name, pictures / name)
        mounts = {open_folder: "/etc/image-pipeline:ro"}
        done = edge.run(*edge.config["Cmd"], mounts=mounts)
        assert done.returncode == 0, done.stderr
        (copies,) = store.pictures.values()  # it may arrive again
    with Picture.open(BytesIO(copies[0])) as found, Picture.open(DATA / "astronaut.jpg") as whole:
        assert found.format == "JPEG"
        assert 50 < found.width < whole.width


def test_it_holds_neither_a_broker_nor_the_worker(edge: Image) -> None:
    assert edge.config["User"] == "10001:10001"
    assert edge.config["Labels"]["org.opencontainers.image.version"] == VERSION
    assert not list(edge.root.glob("usr/**/bin/mosquitto"))
    source = edge.root / "opt" / "pipeline" / "source" / "worker"
    assert {path.name for path in source.iterdir() if path.is_dir()} == {
        "__pycache__",
        "transforms",
    }
