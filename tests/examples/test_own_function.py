"""own-function: a user's thumbnailer; and what is left of a demo that is interrupted."""

import os
import signal

from PIL import Image

from tests.checkout import Checkout, output_to_end, output_until
from tests.engine.snapshot import take_snapshot
from tests.examples.shown import is_clean, show

SAMPLES = ("cat.jpg", "coffee.png", "rocket.jpg")


def test_pictures_become_thumbnails(checkout: Checkout) -> None:
    shown = show(checkout, "own-function")
    assert shown.jobs() == {"thumbnails": ["done"] * len(SAMPLES)}
    made = shown.files("thumbnails", ".jpg")
    assert len(made) == len(SAMPLES)
    for path in made:
        with Image.open(path) as thumbnail:
            assert thumbnail.size == (320, 320)
    assert "640 x 427 became 320 x 320" in shown.log("thumbnails", "rocket.jpg")
    rows = shown.table("select key, data from records_thumbnails_thumbnail")
    assert [row[0] for row in rows] == sorted(SAMPLES)
    with Image.open(shown.folder.with_name("own-function.png")) as sheet:
        assert sheet.width > 1200  # four of the six pictures in a row


def test_interrupted_demo_leaves_nothing(checkout: Checkout) -> None:
    before = take_snapshot(checkout.folder.parent)
    demo = checkout.start("demo", "--example", "own-function")
    printed = output_until(demo, "^Waiting for the jobs")
    os.killpg(demo.pid, signal.SIGINT)
    printed += output_to_end(demo)
    assert demo.returncode == 128 + signal.SIGINT, printed
    assert "Interrupted: nothing is left of it." in printed
    assert "Traceback" not in printed
    assert take_snapshot(checkout.folder.parent).left_since(before) == {}
    assert is_clean(checkout.folder)
