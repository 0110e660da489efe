"""Several pipelines on one machine: each does its work, and none hinders the others."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.machine.guest import NAMES, Guest, eventually

PHOTOS = ("cat.jpg", "coffee.png", "rocket.jpg")


def new_rows(guest: Guest, before: dict[str, int]) -> dict[str, list[str]]:
    """Return the keys of each pipeline's new rows, sorted."""
    return {
        name: sorted(row["input_key"] for row in guest.rows(name)[before[name] :]) for name in NAMES
    }


def test_three_pipelines_do_their_work_side_by_side(guest: Guest, tmp_path: Path) -> None:
    before = {name: len(guest.rows(name)) for name in NAMES}
    guest.put(*PHOTOS)
    guest.put(*PHOTOS, pipeline="thumbs")
    expected = {name: sorted(PHOTOS) for name in NAMES}
    eventually(lambda: new_rows(guest, before) == expected, what="a row for each photo and stage")
    rows = {name: guest.rows(name)[before[name] :] for name in NAMES}
    assert {row["outcome"] for each in rows.values() for row in each} == {"done"}
    thumb, inverted = tmp_path / "thumb.png", tmp_path / "inverted.png"
    for name, file in (("thumbs", thumb), ("inverted", inverted)):
        guest.checkout.pipeline("get", "coffee.png", "--pipeline", name, "--output", str(file))
    # The negative of a PNG is exact.
    with Image.open(thumb) as small, Image.open(inverted) as negative:
        assert max(small.size) in (61, 67)
        assert (
            ImageChops.invert(small.convert("RGB")).tobytes() == negative.convert("RGB").tobytes()
        )


@pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
def test_stalled_pipeline_stops_no_other(guest: Guest) -> None:
    unit = "pipeline-worker@thumbs.service"
    eventually(lambda: guest.shell(f"systemctl show -P MainPID {unit}") != "0")
    guest.shell(f"systemctl kill --signal=STOP {unit}")
    try:
        before = len(guest.rows("thumbs"))
        guest.put("cat.jpg", pipeline="thumbs")
        assert [row["outcome"] for row in guest.negate(*PHOTOS)] == ["done"] * len(PHOTOS)
        assert len(guest.rows("thumbs")) == before  # it was stalled
    finally:
        guest.shell(f"systemctl kill --signal=CONT {unit}")
    eventually(lambda: len(guest.rows("thumbs")) == before + 1, what="the stalled one goes on")
