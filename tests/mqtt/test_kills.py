"""Parts are killed and links cut at random moments: at the end the accounts are exact."""

import random
import time
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.mqtt.camera import generated
from tests.mqtt.world import World

KILLED = ("camera", "edge", "cloud", "ingest")
CUT = ("bridge", "store", "database")
#: Seconds from the last repair until the camera has all confirmations.
PATIENCE = 90


def break_things(world: World, seed: int, faults: int) -> None:
    """Let parts fail, one or two at a time, and repair them."""
    dice = random.Random(seed)  # noqa: S311
    order = [*KILLED, *CUT] * faults
    dice.shuffle(order)
    while order:
        time.sleep(dice.uniform(0.1, 0.5))
        names = {order.pop() for _ in range(min(len(order), dice.choice([1, 1, 2])))}
        for name in sorted(names):
            world.fail(name)
        time.sleep(dice.uniform(0, 0.6))
        for name in sorted(names):
            if not (name == "camera" and world.is_running(name)):
                world.repair(name)


def await_camera(world: World) -> None:
    """Wait until the camera has sent everything, which ends it."""
    await_exit(world, world.camera / "spool")


def await_exit(world: World, spool: Path) -> None:
    """Wait until the camera has ended; what is in `spool` is not confirmed."""
    deadline = time.monotonic() + PATIENCE * patience()
    while (status := world.status("camera")) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    spooled = len(list(spool.iterdir()))
    assert status == 0, f"{spooled} pictures are not confirmed\n{world.log('camera')}"


def results(world: World) -> list[tuple[str, str, str]]:
    """Return key, outcome and SHA-256 of all jobs."""
    rows = world.pipeline.sql("SELECT key, outcome, input_sha256 FROM pipeline.results")
    return sorted((row["key"], row["outcome"], row["input_sha256"]) for row in rows)


def minutes(world: World) -> list[tuple[str, int, int]]:
    """Return boot, generated and received of all minutes."""
    rows = world.pipeline.sql("SELECT boot, generated, received FROM pipeline.camera_minutes")
    return sorted((row["boot"], row["generated"], row["received"]) for row in rows)


def test_every_picture_is_one_job(world: World, pytestconfig: pytest.Config) -> None:
    seed = pytestconfig.option.fault_seed
    world.plan(count=240)
    world.start("cloud", "edge", "ingest", "camera")
    break_things(world, seed, 1)
    world.pipeline.drain()  # some pictures become jobs before they arrive again
    break_things(world, seed + 1000, 1)
    await_camera(world)
    world.pipeline.drain()
    made = generated(world.camera)
    assert len(made) == 240
    assert results(world) == sorted(
        (f"door/{boot}/{number}.bin", "done", sha256) for (boot, number), sha256 in made.items()
    )
    assert world.pipeline.left() == []
    assert sorted(world.pipeline.keys(world.pipeline.output)) == [
        one for one, _, _ in results(world)
    ]
    boots = sorted({boot for boot, _ in made})
    counts = [sum(boot == one for one, _ in made) for boot in boots]
    assert minutes(world) == list(zip(boots, counts, counts, strict=True))
    assert not (world.camera / "refused").exists()
    for name in ("ingest", "camera"):
        assert "Traceback" not in world.log(name)


def test_what_is_lost_at_qos_0_is_counted(world: World) -> None:
    world.plan(count=10_000, qos=0)  # until it is killed
    world.start("cloud", "edge", "ingest", "camera")
    bucket = world.pipeline.input
    eventually(lambda: world.pipeline.keys(bucket), what="a picture is stored")
    world.fail("bridge")  # a bridge without its link keeps nothing of QoS 0
    sent = len(generated(world.camera))
    eventually(lambda: len(generated(world.camera)) > sent + 20, what="pictures are sent")
    world.repair("bridge")
    world.kill("camera")
    count = len(generated(world.camera)) + 100
    world.plan(count=count, qos=0)
    world.start("camera")
    break_things(world, 3, 1)
    await_camera(world)
    made = generated(world.camera)
    eventually(lambda: minutes(world) == true_minutes(world), what="the counts are exact")
    received = sum(each[2] for each in minutes(world))
    assert 0 < received < len(made) == count, "the faults lost nothing, or everything"


def true_minutes(world: World) -> list[tuple[str, int, int]]:
    """Return what `minutes` should, from the camera's folder and the input bucket."""
    stored = set(world.pipeline.keys(world.pipeline.input))
    found: dict[str, list[int]] = {}
    for boot, number in generated(world.camera):
        counts = found.setdefault(boot, [0, 0])
        counts[0] += 1
        counts[1] += f"door/{boot}/{number}.bin" in stored
    return sorted((boot, counts[0], counts[1]) for boot, counts in found.items())
