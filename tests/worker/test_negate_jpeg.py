"""JPEGs of every kind are negated whole, or refused by name; what is dropped is noted."""

import re
import struct
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.fuzz.seeds import exif
from tests.worker.negation import convert, negative, notes
from tests.worker.pictures import decode, encode, error, negated, picture
from worker.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("compiled")

PHOTO = encode(picture(1, (83, 59)), "JPEG", quality=90)
GRAY = encode(picture(1, (83, 59), "L"), "JPEG", quality=90)
PROGRESSIVE = encode(picture(1, (83, 59)), "JPEG", progressive=True)
PREVIEW = encode(picture(2, (32, 24)), "JPEG")
XMP = b"http://ns.adobe.com/xap/1.0/\0"
LARGEST = 5


def segment(marker: int, content: bytes) -> bytes:
    """Return a marker segment."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def without_tables(data: bytes) -> bytes:
    """Return a JPEG without its DHT segments, as the frames of Motion JPEG."""
    while (at := data.find(b"\xff\xc4")) >= 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    return data


@pytest.mark.parametrize("data", [PHOTO, GRAY], ids=["color", "gray"])
def test_frames_of_motion_jpeg_have_the_standard_tables(data: bytes, tmp_path: Path) -> None:
    frame = without_tables(data)
    assert len(frame) < len(data) - 200
    once = negative(tmp_path, frame)
    assert once == without_tables(negative(tmp_path, data))
    assert negative(tmp_path, once) == frame


def test_a_progressive_jpeg_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        negative(tmp_path, without_tables(PROGRESSIVE))


@pytest.mark.parametrize("data", [PHOTO, PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_complete_jpeg_needs_no_end(data: bytes, tmp_path: Path) -> None:
    once = negative(tmp_path, data[:-2])
    assert once == negative(tmp_path, data)[:-2]
    assert notes(tmp_path, data[:-2]) == []
    for cut in (3, 4, 9, 30):
        with pytest.raises(InvalidInput, match="truncated"):
            negative(tmp_path, data[:-cut])


def test_a_progressive_jpeg_without_its_last_scan_and_end_is_refused(tmp_path: Path) -> None:
    last = PROGRESSIVE.rindex(b"\xff\xda")
    last = PROGRESSIVE.rindex(b"\xff\xc4", 0, last) if b"\xff\xc4" in PROGRESSIVE else last
    with pytest.raises(InvalidInput, match="truncated"):
        negative(tmp_path, PROGRESSIVE[:last])
    once = negative(tmp_path, PROGRESSIVE[:last] + b"\xff\xd9")  # the same, said to be complete
    assert convert(once, "jpeg") != b""


@pytest.mark.parametrize("stray", [b"\0", bytes(99), b"\xff\xff", b"\0\xff\0\xff", b"\xff\0"])
@pytest.mark.parametrize("data", [PHOTO, PROGRESSIVE], ids=["baseline", "progressive"])
def test_fill_bytes_and_zeros_between_segments_stay(
    data: bytes, stray: bytes, tmp_path: Path
) -> None:
    plain = negative(tmp_path, data)
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xda"):
        at = data.index(marker)
        filled = data[:at] + stray + data[at:]
        once = negative(tmp_path, filled)
        assert once == plain[:at] + stray + plain[at:]
        assert negative(tmp_path, once) == filled


def test_fill_bytes_before_the_end_stay(tmp_path: Path) -> None:
    once = negative(tmp_path, PHOTO[:-2] + b"\xff\xff" + PHOTO[-2:])
    assert once == negative(tmp_path, PHOTO)[:-2] + b"\xff\xff" + PHOTO[-2:]


@pytest.mark.parametrize("data", [PHOTO, PROGRESSIVE], ids=["baseline", "progressive"])
def test_other_bytes_between_segments_are_dropped_and_noted(data: bytes, tmp_path: Path) -> None:
    """As libjpeg skips them, with a warning that `convert` shows."""
    for at in (data.index(b"\xff\xc4"), data.rindex(b"\xff\xda")):
        stray = data[:at] + b"stray\1" + data[at:]
        assert negative(tmp_path, stray) == negative(tmp_path, data)
        (note,) = notes(tmp_path, stray)
        assert "dropped" in note
    at = data.index(b"\xff\xc4")
    with pytest.raises(InvalidInput, match=f"damaged at byte {at}"):
        negative(tmp_path, data[:at] + b"\xff\2" + data[at:])


def test_a_restart_marker_before_the_end_stays(tmp_path: Path) -> None:
    once = negative(tmp_path, PHOTO[:-2] + b"\xff\xd3" + PHOTO[-2:])
    assert once == negative(tmp_path, PHOTO)[:-2] + b"\xff\xd3" + PHOTO[-2:]


def _as(marker: int, bits: int = 8) -> bytes:
    """Return a JPEG whose frame has another marker and precision."""
    at = PHOTO.index(b"\xff\xc0")
    return (
        PHOTO[: at + 1] + bytes([marker]) + PHOTO[at + 2 : at + 4] + bytes([bits]) + PHOTO[at + 5 :]
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_as(0xC3), r"lossless JPEG \(SOF3\)"),
        (_as(0xC5), r"hierarchical JPEG \(SOF5\)"),
        (_as(0xC9), r"arithmetic-coded JPEG \(SOF9\)"),
        (_as(0xCA), r"arithmetic-coded progressive JPEG \(SOF10\)"),
        (_as(0xF7), r"JPEG-LS \(SOF55\)"),
        (_as(0xC1, 12), r"extended sequential JPEG \(SOF1\) with 12 bits"),
        (PHOTO[:2] + segment(0xDE, PHOTO[-20:]) + PHOTO[2:], r"hierarchical JPEG \(DHP\)"),
        (PHOTO[:2] + segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x14SPEC") + PHOTO[2:], "JPEG XT"),
        (PHOTO.replace(struct.pack(">BHH", 8, 59, 83), struct.pack(">BHH", 8, 0, 83)), "DNL"),
    ],
)
def test_kinds_that_are_not_supported_are_refused_by_name(
    data: bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)


def test_bytes_after_a_jpeg_are_never_a_reason_to_refuse_it(tmp_path: Path) -> None:
    for tail in (b"film", PREVIEW[:40], b"\xff\xd8\xff", b"\xff\xd8" * 9, PREVIEW[:-9]):
        once = negative(tmp_path, PHOTO + tail)
        assert once == negative(tmp_path, PHOTO)
        assert notes(tmp_path, PHOTO + tail) == [f"dropped {len(tail)} bytes after the picture"]
    assert notes(tmp_path, PHOTO + bytes(9)) == []


def test_bytes_after_the_last_block_are_dropped_and_noted(tmp_path: Path) -> None:
    surplus = PHOTO[:-2] + b"surplus" + PHOTO[-2:]
    assert negative(tmp_path, surplus) == negative(tmp_path, PHOTO)
    (note,) = notes(tmp_path, surplus)
    assert "last block" in note


def _item(semantic: str, mime: str, length: int | None) -> str:
    size = "" if length is None else f' Item:Length="{length}"'
    return (
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{semantic}"'
        f' Item:Mime="{mime}"{size}/></rdf:li>\n'
    )


def _with_directory(*items: str, tail: bytes, flags: str = "") -> bytes:
    packet = f"<x:xmpmeta {flags}><Container:Directory><rdf:Seq>\n{''.join(items)}</rdf:Seq>"
    return PHOTO[:2] + segment(0xE1, XMP + packet.encode()) + PHOTO[2:] + tail


def _gain_map(length: int) -> bytes:
    """Return a JPEG of a given length, by a comment."""
    data = encode(picture(3, (40, 30), "L"), "JPEG")
    return data[:2] + segment(0xFE, b"x" * (length - len(data) - 4)) + data[2:]


@pytest.mark.parametrize("length", range(9_990, 10_001))
def test_the_directory_of_an_ultra_hdr_jpeg_has_the_new_lengths(
    length: int, tmp_path: Path
) -> None:
    gain_map = _gain_map(length)
    data = _with_directory(
        _item("Primary", "image/jpeg", None),
        _item("GainMap", "image/jpeg", length),
        tail=gain_map,
    )
    once = negative(tmp_path, data)
    (found,) = re.findall(rb'Item:Length="(\d+)"', once)
    new = once[-int(found) :]
    assert new.startswith(b"\xff\xd8\xff\xfe")
    assert once[: -len(new)].endswith(b"\xff\xd9")
    assert error(decode(new), negated(gain_map)) <= LARGEST
    assert negative(tmp_path, once) == data
    assert "its gain map was negated as well" in notes(tmp_path, data)


def test_a_depth_map_stays(tmp_path: Path) -> None:
    depth = encode(picture(5, (40, 30), "L"), "JPEG")
    items = [
        _item("Primary", "image/jpeg", 0),
        _item("GainMap", "image/jpeg", len(PREVIEW)),
        _item("Depth", "image/jpeg", len(depth)),
    ]
    once = negative(tmp_path, _with_directory(*items, tail=PREVIEW + depth))
    assert once.endswith(negative(tmp_path, PREVIEW) + depth)
    items[2] = _item("Original", "image/jpeg", len(depth))
    once = negative(tmp_path, _with_directory(*items, tail=PREVIEW + depth))
    assert once.endswith(negative(tmp_path, depth))


def test_a_dropped_film_leaves_no_trace_in_the_directory(tmp_path: Path) -> None:
    film = b"\0\0\0\x18ftypmp42" + bytes(500) + b"film"
    data = _with_directory(
        _item("Primary", "image/jpeg", 0),
        _item("GainMap", "image/jpeg", len(PREVIEW)),
        _item("MotionPhoto", "video/mp4", len(film)),
        tail=PREVIEW + film,
        flags='GCamera:MotionPhoto="1"',
    )
    once = negative(tmp_path, data)
    assert b"video/mp4" not in once
    assert b'GCamera:MotionPhoto="0"' in once
    assert b'Item:Semantic="GainMap"' in once
    assert b"ftyp" not in once
    assert negative(tmp_path, negative(tmp_path, once)) == once
    assert any("GContainer" in note for note in notes(tmp_path, data))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", [b"<rdf:li Item:", b"<rdf:li <rdf:li ", b"xmpNote: \t"])
def test_a_crafted_directory_takes_little_time(part: bytes, tmp_path: Path) -> None:
    packet = XMP + b"Container:Item" + part * (65_000 // len(part))
    data = PHOTO[:2] + segment(0xE1, packet) + PHOTO[2:]
    assert negative(tmp_path, data)[2:-10].startswith(data[2 : len(packet)])


def test_an_mpo_that_loses_a_picture_loses_its_index_with_a_note(tmp_path: Path) -> None:
    buffer = BytesIO()
    picture(3).save(buffer, "MPO", save_all=True, append_images=[picture(4)])
    data = buffer.getvalue()
    assert notes(tmp_path, data) == []
    found = notes(tmp_path, data[:-20])
    assert any("MPF" in note for note in found)
    assert any("after the picture" in note for note in found)


def test_metadata_stays_when_a_preview_has_no_room_in_its_segment(tmp_path: Path) -> None:
    block = exif(PREVIEW, b"maker's")
    block += bytes(65_533 - len(block) - 8) + b"the end."
    data = PHOTO[:2] + segment(0xE1, block) + PHOTO[2:]
    once = negative(tmp_path, data)
    assert b"maker's" in once
    assert b"the end." in once
    assert Image.open(BytesIO(once)).getexif()[0x112] == 6
