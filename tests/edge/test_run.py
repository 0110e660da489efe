"""`python -m edge run` with a real broker: every picture arrives, whatever ends meanwhile."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.edge.devices import Broker, Cloud, Device, broker, cloud
from tests.eventually import eventually, patience
from tests.ports import reserved_port


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture
def device(tmp_path: Path, shared: Broker) -> Device:
    return Device(tmp_path, shared.port)


@pytest.fixture
def store(shared: Broker) -> Iterator[Cloud]:
    with cloud(shared.port) as made:
        yield made


#: Deadline for the exit of a camera, in seconds; what is not confirmed is sent again after 30 s.
END_SECONDS = 120 * patience()


def boots(store: Cloud) -> list[str]:
    return list(dict.fromkeys(boot for boot, _ in store.pictures))


def test_every_picture_arrives_as_it_is(device: Device, store: Cloud) -> None:
    contents = device.fill(100)
    (device.folder / "pictures/0050x.jpg").write_bytes(b"no picture")
    Image.new("L", (65_501, 1)).save(device.folder / "pictures/0051x.png")  # too wide for JPEG
    Image.new("1", (20_000, 5_001)).save(device.folder / "pictures/0052x.png")
    device.configure()
    done = device.run()
    assert done.returncode == 0, done.stderr
    assert "0050x.jpg is skipped: " in done.stderr
    assert "A picture of 65501x1 is dropped: " in done.stderr
    assert "more than the camera's max_pixels, 100,000,000" in done.stderr
    assert (
        "looked at 101 frames, made 100 pictures of them, the cloud confirmed 100;" in done.stderr
    )
    # A picture may arrive again, as it is, if its confirmation took long.
    assert [set(copies) for copies in store.pictures.values()] == [{each} for each in contents]
    (boot,) = boots(store)
    assert re.fullmatch(r"[a-z0-9-]{1,32}", boot)
    assert [number for _, number in store.pictures] == list(range(1, 101))
    assert device.pending() == []
    assert sum(minute["generated"] for minute in store.minutes) == 100
    assert sum(minute["bytes"] for minute in store.minutes) == sum(map(len, contents))
    assert store.minutes[-1]["last"] == 100
    assert not list((device.spool / "minutes").iterdir())


def test_it_starts_without_a_broker_and_ends_at_a_signal(tmp_path: Path) -> None:
    device = Device(tmp_path, reserved_port())
    device.fill(5)
    device.configure()
    with device.running() as child:
        eventually(lambda: len(device.pending()) == 5)
        eventually(lambda: "cannot be reached" in device.log)
        child.send_signal(signal.SIGTERM)
        assert child.wait(END_SECONDS) == 0
    assert "the spool has 5 pictures" in device.log
    with broker(tmp_path / "broker") as late, cloud(late.port) as store:
        device.port = late.port
        device.configure()
        assert device.run().returncode == 0
        assert len(boots(store)) == 2  # the pictures are those of a folder, so taken again
        assert [number for _, number in store.pictures] == 2 * [*range(1, 6)]


def test_a_killed_camera_sends_what_it_has_under_its_old_number(
    device: Device, store: Cloud
) -> None:
    store.confirms = False
    contents = device.fill(20)
    device.configure()
    with device.running() as child:
        eventually(lambda: len(store.pictures) == 20)
        child.kill()
        child.wait()
    assert len(device.pending()) == 20
    store.confirms = True
    (device.folder / "pictures").rename(device.folder / "sent")
    device.fill(1)
    assert device.run().returncode == 0
    assert device.pending() == []
    old, new = boots(store)
    assert old != new
    for number, content in enumerate(contents, 1):
        assert set(store.pictures[old, number]) == {content}
    assert len(store.pictures) == 21


def test_a_broker_that_forgets_gets_everything_again(tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as own:
        device = Device(tmp_path, own.port)
        device.fill(10)
        device.configure()
        with device.running() as child:
            eventually(lambda: len(device.pending()) == 10)
            eventually(lambda: "is reached" in device.log)
            own.stop(signal.SIGKILL)
            own.start()
            with cloud(own.port) as store:
                assert child.wait(END_SECONDS) == 0
                assert len(store.pictures) == 10
        assert device.pending() == []


def test_a_full_spool_stops_capture_and_says_so(device: Device, store: Cloud) -> None:
    store.confirms = False
    contents = device.fill(30, size=1_000_000)
    device.configure(more="[spool]\nmax_mb = 20")
    with device.running() as child:
        eventually(lambda: "capture is stopped until the cloud confirms pictures" in device.log)
        assert len(device.pending()) == 20
        store.confirm_all()
        assert child.wait(END_SECONDS) == 0
    assert "Capture goes on." in device.log
    assert {copies[0] for copies in store.pictures.values()} == set(contents)
    assert [number for _, number in store.pictures] == list(range(1, 31))
    assert sum(minute["dropped"] for minute in store.minutes) == 0


def test_qos_0_drops_the_oldest_and_counts_them(tmp_path: Path, shared: Broker) -> None:
    device = Device(tmp_path, reserved_port())  # of no broker
    contents = device.fill(30, size=1_000_000)
    device.configure("qos = 0", "[spool]\nmax_mb = 20")
    with device.running() as child:
        eventually(lambda: device.pending()[-1:] and device.pending()[-1].endswith("30"))
        child.send_signal(signal.SIGTERM)
        assert child.wait(END_SECONDS) == 0
    assert len(device.pending()) == 20
    (device.folder / "pictures").rename(device.folder / "sent")
    device.fill(1)
    device.port = shared.port
    device.configure("qos = 0", "[spool]\nmax_mb = 30")
    with cloud(shared.port) as store:
        store.confirms = False  # nothing is kept for a confirmation
        assert device.run().returncode == 0
        assert device.pending() == []
        old, _ = boots(store)
        sent = [copies[0] for (boot, _), copies in store.pictures.items() if boot == old]
        assert [number for boot, number in store.pictures if boot == old] == list(range(11, 31))
        assert sent == contents[10:]
        assert sum(minute["dropped"] for minute in store.minutes) == 10
        assert sum(minute["generated"] for minute in store.minutes) == 31


def test_a_refused_picture_is_kept_with_the_reason(device: Device, store: Cloud) -> None:
    contents = device.fill(3)
    store.refusals = {2: "This boot has another picture of number 2."}
    device.configure()
    done = device.run()
    assert done.returncode == 0
    assert "The cloud refuses picture" in done.stderr
    (picture,) = (device.spool / "refused").glob("*.0000000002")
    assert picture.read_bytes() == contents[1]
    assert picture.with_name(f"{picture.name}.txt").read_text() == (
        "This boot has another picture of number 2.\n"
    )


def test_answers_that_make_no_sense_change_nothing(device: Device, store: Cloud) -> None:
    store.confirms = False
    device.fill(2)
    device.configure()
    with device.running() as child:
        eventually(lambda: len(store.pictures) == 2)
        (boot,) = boots(store)
        topic = f"image-pipeline/door/{boot}/confirmed"
        for payload in (b"", b"[]", b"{", b'{"number": null}', b'{"number": 1e999}', b"\xff"):
            store.publish(topic, payload)
        # Only numbers name pictures: "01" is the number of none.
        for payload in (b'{"number": "01", "refused": "no"}', b'{"numbers": "12"}', 50_000 * b"["):
            store.publish(topic, payload)
        store.publish(topic, b'{"number": 77}')
        eventually(lambda: device.log.count("is not understood") == 9)
        assert len(device.pending()) == 2
        store.publish(topic, b'{"numbers": [1, 2]}')
        assert child.wait(END_SECONDS) == 0


def test_a_second_process_is_refused(device: Device, store: Cloud) -> None:
    store.confirms = False
    device.fill(1)
    device.configure()
    with device.running():
        eventually(device.pending)
        second = device.run()
    assert second.returncode == 1
    assert second.stderr.startswith("Another process uses the spool")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "nowhere is not a file or folder: correct `source`."),
        ("edge.toml/x", "edge.toml/x is not a file or folder: correct `source`."),
    ],
)
def test_a_source_that_is_not_there(device: Device, source: str, sentence: str) -> None:
    device.configure(f'source = "{source}"')
    done = device.run()
    assert done.returncode == 1
    assert sentence in done.stderr.splitlines()[-1]


def test_wrong_settings(device: Device) -> None:
    device.configure("qos = 7")
    done = device.run()
    assert (done.returncode, done.stderr) == (2, "qos is 7: set it to one of 0, 1.\n")
