"""Write the pictures of the page in docs/: `python -m tests.page.screenshots`."""

import re
import tempfile
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from bench.pipeline import ROOT
from local import object_store, postgres
from tests.eventually import eventually
from tests.page.stage import SAMPLES, Stage, open_browser, open_stage
from worker.transforms.negate import build, kernels

_COLORS = 128  # of a picture's palette: a quarter of the bytes
_MACHINES = ("photos-vm", "photos-vm-2", "photos-vm-3")
_WORK = 150  # photos that are being processed in the overview
_PHOTOS = ("rocket.jpg", "galaxies.jpg", "coffee.png", "cat.jpg")


def main() -> None:
    """Fill a stack, and take its pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build.build(kernels.FOLDER)
        store = object_store.start(folder / "store", "moto")
        database = postgres.start(folder / "database")
        try:
            with (
                open_browser() as browser,
                open_stage(
                    folder / "stage", store, database, browser, name="photos", machines=_MACHINES
                ) as stage,
            ):
                _fill(stage)
                _take(stage, folder)
        finally:
            object_store.stop(folder / "store")
            postgres.stop(folder / "database")


def _fill(stage: Stage) -> None:
    for turn in range(3):
        for name in _PHOTOS:
            stage.pipeline.put(f"holiday/{turn + 1}-{name}", (SAMPLES / name).read_bytes())
    stage.pipeline.put("holiday/broken.jpg", b"\xff\xd8 no picture")
    done = "SELECT key FROM pipeline.results WHERE pipeline = 'small' AND outcome = 'done'"
    eventually(lambda: len(stage.pipeline.sql(done)) == len(_PHOTOS) * 3, what="all are done")


def _work(stage: Stage) -> None:
    """Upload more than the machines process while the picture is taken."""
    for number in range(_WORK):
        photo = _PHOTOS[number % len(_PHOTOS)]
        stage.pipeline.put(f"summer/{number:03}-{photo}", (SAMPLES / photo).read_bytes())


def _take(stage: Stage, folder: Path) -> None:
    query = "SELECT job_id FROM pipeline.results WHERE key = 'holiday/1-cat.jpg'"
    job = stage.pipeline.sql(query)[0]["job_id"]
    desktop: dict[str, object] = {"viewport": {"width": 1100, "height": 760}}
    tall: dict[str, object] = {"viewport": {"width": 1100, "height": 910}}
    phone: dict[str, object] = {"viewport": {"width": 390, "height": 760}, "color_scheme": "dark"}
    views = [
        ("results", "/results?pipeline=negatives", desktop),
        ("job", f"/jobs/{job}", desktop),
        ("phone", "/results?pipeline=negatives", phone),
        ("overview", "/", tall),
    ]
    for name, path, options in views:
        with stage.context(**options) as context:
            page = stage.page(path, context)
            if path == "/":
                _work(stage)
                for name_of_machine in _MACHINES:
                    row = page.locator("tr", has_text=re.compile(rf"^\s*{name_of_machine}\s"))
                    expect(row.locator("a").first).to_be_visible()
                expect(page.locator("#pipeline-negatives")).to_contain_text("left")
            hidden = "one.getBoundingClientRect().top > innerHeight"
            drawn = f"[...document.images].every((one) => one.complete || {hidden})"
            eventually(partial(page.evaluate, drawn), what="the pictures are drawn")
            shot = folder / "shot.png"
            page.screenshot(path=shot)
        picture = Image.open(shot).convert("RGB").quantize(_COLORS)
        picture.save(ROOT / "docs" / f"page-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
