"""The motion gate."""

import random
from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from edge.motion import MotionGate


@pytest.fixture(scope="module")
def room() -> Image.Image:
    """A scene with structure: blurred noise."""
    made = Image.effect_noise((640, 480), 90).filter(ImageFilter.GaussianBlur(8))
    return made.convert("RGB")


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


def noisy(scene: Image.Image, seed: int) -> Image.Image:
    """Return the scene as a camera in the dark takes it."""
    noise = Image.frombytes("L", scene.size, _dice(seed).randbytes(640 * 480))
    faint = noise.point([value // 16 for value in range(256)])
    return ImageChops.add(scene, Image.merge("RGB", (faint, faint, faint)))


def frames(gate: MotionGate, scene: Image.Image, count: int, start: int) -> Iterator[bool]:
    for number in range(count):
        yield gate.is_open(noisy(scene, start + number), float(start + number))


def test_the_first_frame_passes_and_a_still_scene_does_not(room: Image.Image) -> None:
    gate = MotionGate(0.005, 0)
    assert list(frames(gate, room, 5, 0)) == [True, False, False, False, False]


def test_somebody_who_enters_opens_it_until_some_time_after(room: Image.Image) -> None:
    gate = MotionGate(0.005, 2)
    list(frames(gate, room, 5, 0))
    person = room.copy()
    ImageDraw.Draw(person).ellipse((200, 100, 300, 240), fill=(230, 190, 160))
    assert gate.is_open(person, 5.0)
    assert gate.is_open(room, 6.9)
    after = [gate.is_open(noisy(room, number), float(number)) for number in range(10, 20)]
    assert not any(after[5:])


def test_light_that_changes_everywhere_is_no_motion(room: Image.Image) -> None:
    gate = MotionGate(0.005, 0)
    list(frames(gate, room, 3, 0))
    darker = room.point([max(0, value - 40) for value in range(256)] * 3)
    assert not gate.is_open(darker, 5.0)


def test_what_stays_becomes_part_of_the_scene(room: Image.Image) -> None:
    gate = MotionGate(0.005, 0)
    list(frames(gate, room, 3, 0))
    parcel = room.copy()
    ImageDraw.Draw(parcel).rectangle((100, 300, 260, 460), fill=(250, 250, 250))
    passed = list(frames(gate, parcel, 60, 3))
    assert passed[0]
    assert not any(passed[-20:])


def test_another_size_begins_anew(room: Image.Image) -> None:
    gate = MotionGate(0.005, 0)
    list(frames(gate, room, 3, 0))
    assert gate.is_open(room.resize((320, 180)), 9.0)
