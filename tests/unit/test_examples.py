"""What examples need and show, without a stack."""

from pathlib import Path

import pytest
from PIL import Image

from cli.contact_sheet import contact_sheet, gallery, is_negative
from cli.errors import CommandError
from cli.examples.example import find
from cli.examples.interface import Setup


def test_missing_programs_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    example = find("cpsign")
    with pytest.raises(CommandError) as refused:
        example.plan(Setup(example.source, tmp_path, tmp_path, "127.0.0.1"))
    assert "java" in refused.value.message
    assert "default-jre-headless" in refused.value.message
    assert "\n" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_server_that_ends_is_reported_with_its_last_line(tmp_path: Path) -> None:
    setup = Setup(tmp_path, tmp_path, tmp_path, "127.0.0.1")
    with pytest.raises(CommandError, match="'broken' did not start: no such table"):
        setup.start_server("broken", lambda port: ["sh", "-c", f"echo {port}; echo no such table"])


def test_gallery_shows_every_picture_with_its_caption(tmp_path: Path) -> None:
    colors = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff"]
    pictures = []
    for number, color in enumerate(colors):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (30, 22), color).save(path)
        pictures.append((f"picture {number}", path))
    gallery(pictures, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        shown = {color for _, color in sheet.convert("RGB").getcolors(1 << 20) or []}
    assert {tuple(bytes.fromhex(color[1:])) for color in colors} <= shown


def test_a_sheet_shows_deep_grays_and_names_what_it_cannot_show(tmp_path: Path) -> None:
    deep, negative, unknown = (tmp_path / name for name in ("a.tif", "b.tif", "c.tif"))
    Image.new("I;16", (30, 22), 0x4000).save(deep)
    Image.new("I;16", (30, 22), 0xBFFF).save(negative)
    unknown.write_bytes(b"what Pillow does not decode")
    assert is_negative(deep, negative)
    assert is_negative(deep, deep) is False
    assert is_negative(deep, unknown) is None
    contact_sheet([(deep, negative), (deep, unknown)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        shown = {color for _, color in sheet.convert("RGB").getcolors(1 << 20) or []}
    assert {(0x40, 0x40, 0x40), (0xBF, 0xBF, 0xBF)} <= shown
