"""What goes wrong at the brokers is one sentence, and loses nothing."""

import re
import subprocess
from pathlib import Path

from clients.certificates import issue, make_authority
from tests.eventually import eventually
from tests.mqtt.camera import generated
from tests.mqtt.test_kills import await_camera, results
from tests.mqtt.world import MOSQUITTO, Part, World
from worker.broker import access_list, configuration, passwords


def publish(
    world: World, topic: str, payload: bytes, *options: str
) -> subprocess.CompletedProcess[bytes]:
    """Publish as docs/cameras.md says, to the cloud's broker, as a camera."""
    argv = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(world.cameras_port), "-u", "door"]
    authority = world.folder / "authority.pem"
    argv += ["--cafile", str(authority), "-q", "1", "-t", topic, "-s", *options]
    password = world.folder / "mosquitto_pub"
    password.write_text(f"-P {world.password}\n")
    return subprocess.run(
        argv,
        input=payload,
        capture_output=True,
        check=False,
        env={"XDG_CONFIG_HOME": str(world.folder)},
    )


def test_mosquitto_pub_is_a_camera(world: World) -> None:
    world.start("cloud", "ingest")
    eventually(lambda: world.obstacle() is None)
    assert publish(world, "image-pipeline/door/manual/1", b"a picture").returncode == 0
    eventually(lambda: world.pipeline.keys(world.pipeline.input) == ["door/manual/1.bin"])


def test_the_broker_keeps_no_retained_pictures(world: World) -> None:
    world.start("cloud")
    refused = publish(world, "image-pipeline/door/manual/1", b"a picture", "-r", "-V", "311")
    assert b"The connection was lost" in refused.stderr
    # MQTT 5 tells a client before it publishes.
    publish(world, "image-pipeline/door/manual/2", b"a picture", "-r", "-V", "5")
    assert publish(world, "image-pipeline/door/manual/3", b"a picture").returncode == 0


def test_a_camera_cannot_take_the_session_of_ingest(world: World) -> None:
    """A broker ends the session of a client id for whoever connects with the same one."""
    world.start("cloud", "ingest")
    eventually(lambda: world.obstacle() is None)
    taken = publish(world, "image-pipeline/door/b/1", b"a", "-i", "image-pipeline-ingest")
    assert taken.returncode == 0
    assert "already connected" not in world.log("cloud")


def test_a_wrong_password_is_named(world: World) -> None:
    (world.pipeline.folder / "credentials" / "broker-password").write_text("wrong")
    world.start("cloud", "ingest")
    eventually(
        lambda: (
            world.obstacle()
            == f"The broker at 127.0.0.1:{world.port} refused login for 'ingest' (Not authorized): "
            "renew the broker's password."
        )
    )


def test_a_broker_that_is_away_is_named_until_it_is_back(world: World) -> None:
    world.start("ingest")
    eventually(
        lambda: (
            world.obstacle() == f"The broker at 127.0.0.1:{world.port} did not respond "
            "(Connection refused): see its log."
        )
    )
    world.start("cloud")
    eventually(lambda: world.obstacle() is None)


def test_a_broker_that_says_nothing_is_named(world: World) -> None:
    world.start("cloud", "ingest")
    eventually(lambda: world.obstacle() is None)
    world.freeze("cloud")
    world.kill("ingest")
    world.start("ingest")
    eventually(lambda: "sent no answer for 10 s" in str(world.obstacle()))
    world.thaw("cloud")
    eventually(lambda: world.obstacle() is None)


def test_a_store_that_is_away_is_named(world: World) -> None:
    world.links["store"].cut()
    world.plan(count=5)
    world.start("cloud", "edge", "ingest", "camera")
    sentence = f"{world.pipeline.input}.* did not respond"
    eventually(lambda: re.search(sentence, str(world.obstacle())), what="a sentence on the bucket")
    world.links["store"].mend()
    await_camera(world)
    eventually(lambda: world.obstacle() is None)


def test_an_expired_certificate_keeps_the_bridge_away(world: World) -> None:
    expired = issue("server", make_authority(), "127.0.0.1", days=-1)
    (world.folder / "credentials" / "interface-certificate").write_text(expired)
    world.plan(count=3)
    world.start("cloud", "edge", "ingest", "camera")
    eventually(lambda: "certificate verify failed" in world.log("edge"))
    eventually(lambda: any((world.camera / "spool").glob("*")), what="the camera keeps pictures")
    eventually(lambda: world.obstacle() is None, what="nothing is wrong with ingest")


def test_a_full_broker_loses_nothing(world: World) -> None:
    """The broker drops what its queue has no room for, and acknowledges that."""
    folder = world.folder / "small"
    folder.mkdir()
    _serve_small(world, folder, queued_bytes=100_000)
    world.plan(count=40, pause=0.01, largest=20_000)
    world.start("cloud", "edge", "ingest")
    eventually(lambda: world.obstacle() is None)  # the session is there
    world.kill("ingest")
    world.start("camera")
    eventually(lambda: len(generated(world.camera)) == 40)
    eventually(lambda: "dropped" in world.log("cloud"), what="the broker drops messages")
    world.start("ingest")
    await_camera(world)
    world.pipeline.drain()
    assert sorted(sha256 for _, _, sha256 in results(world)) == sorted(
        generated(world.camera).values()
    )


def _serve_small(world: World, folder: Path, queued_bytes: int) -> None:
    credentials = world.folder / "credentials"
    text = configuration(
        folder,
        credentials,
        folder,
        port=world.port,
        cameras_port=world.cameras_port,
        address="127.0.0.1",
    )
    assert "\nmax_queued_bytes 67108864\n" in text
    text = text.replace("max_queued_bytes 67108864", f"max_queued_bytes {queued_bytes}")
    (folder / "mosquitto.conf").write_text(text)
    (folder / "acl").write_text(access_list(["door"]))
    users = {"ingest": "of-ingest", "door": world.password}
    (folder / "passwords").write_text(passwords(users))
    world.parts["cloud"] = Part([str(MOSQUITTO), "-c", str(folder / "mosquitto.conf")], {})


def test_sigterm_ends_it_and_loses_nothing(world: World) -> None:
    world.plan(count=60, pause=0.01)
    world.start("cloud", "edge", "ingest", "camera")
    eventually(lambda: len(world.pipeline.keys(world.pipeline.input)) > 20)
    assert world.end("ingest") == 0
    world.start("ingest")
    await_camera(world)
    world.pipeline.drain()
    assert len(results(world)) == 60
