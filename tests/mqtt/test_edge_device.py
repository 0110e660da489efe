"""The program of an edge device, and everything up to the bucket, killed at random moments."""

import hashlib
import re

from tests.edge.devices import Device
from tests.eventually import eventually
from tests.mqtt.test_kills import await_exit, break_things, minutes, results
from tests.mqtt.world import PASSWORD, Part, World

COUNT = 60


def test_no_picture_is_lost_and_none_is_there_twice(world: World) -> None:
    device = Device(world.folder / "device", world.edge_port)
    device.folder.mkdir()
    contents = device.fill(COUNT, size=5000)
    (device.folder / "local-password").write_text(PASSWORD)
    device.configure(more='password_file = "local-password"', real_time=True, frames_per_second=20)
    world.parts["camera"] = Part(device.command("run"), {})
    world.start("cloud", "edge", "ingest", "camera")
    break_things(world, 7, 1)
    await_exit(world, device.spool / "pending")
    world.pipeline.drain()
    found: dict[str, list[tuple[int, str]]] = {}
    for key, outcome, sha256 in results(world):
        camera, boot, name = key.split("/")
        assert (camera, outcome) == ("door", "done")
        found.setdefault(boot, []).append((int(name.removesuffix(".jpg")), sha256))
    expected = [hashlib.sha256(each).hexdigest() for each in contents]
    # Each start of the camera reads the folder from its beginning.
    for sent in found.values():
        assert sorted(sent) == list(enumerate(expected[: len(sent)], 1))
    # The last start was not killed. Names of boots do not tell which it is: two may share a second.
    *_, last = re.findall(r"boot (\S+); the spool has", world.log("camera"))
    assert len(found[last]) == COUNT
    assert world.pipeline.left() == []
    assert device.pending() == []
    assert sum(generated for _, generated, _ in minutes(world)) >= COUNT
    # A minute is counted again at a heartbeat after its last picture was stored.
    eventually(lambda: all(made == received for _, made, received in minutes(world)))
