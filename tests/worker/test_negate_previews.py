"""Previews and further pictures: none is stored as it was; negating twice restores all bytes."""

import base64
import re
import struct
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.fuzz.seeds import chunk, exif
from tests.worker.negation import negative, notes
from tests.worker.pictures import decode, encode, error, negated, picture
from worker.transforms.negate import previews

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("compiled")

PREVIEW = encode(picture(15, (32, 24)), "JPEG", quality=85)  # its negative is longer
OPTIMIZED = encode(picture(15, (32, 24)), "JPEG", quality=85, optimize=True)  # no unused codes
PHOTO = encode(picture(12, (64, 48)), "JPEG")
PROGRESSIVE = encode(picture(12, (64, 48)), "JPEG", progressive=True)
SECOND_SCAN = PROGRESSIVE.index(b"\xff\xda", PROGRESSIVE.index(b"\xff\xda") + 2)
LARGEST = 5
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + bytes(8)
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _with(*segments: bytes, tail: bytes = b"") -> bytes:
    return PHOTO[:2] + b"".join(segments) + PHOTO[2:] + tail


def _packet(preview: bytes, width: int = 76) -> bytes:
    text = base64.b64encode(preview)
    lines = b"&#xA;".join(text[i : i + width] for i in range(0, len(text), width))
    return b"<xmpGImg:image>" + lines + b"</xmpGImg:image>"


def _resources(preview: bytes) -> bytes:
    header = struct.pack(">6I2H", 1, 32, 24, 96, 2304, len(preview), 24, 1)
    resource = b"8BIM\x04\x0c\0\0" + (len(preview) + 28).to_bytes(4, "big") + header + preview
    return b"Photoshop 3.0\0" + resource + b"\0" * (len(preview) % 2) + b"8BIM\x04\x04\0\0\0\0\0\0"


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    data = encode(picture(12, (64, 48)), "PNG")
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


REVERSIBLE: dict[str, bytes] = {
    "exif": _with(_segment(0xE1, exif(PREVIEW))),
    "exif, room behind": _with(_segment(0xE1, exif(PREVIEW, bytes(64) + b"maker's"))),
    "exif, zeros within its length": _with(_segment(0xE1, exif(PREVIEW + bytes(64), b"maker's"))),
    "exif, preview at another place": _with(
        _segment(0xE1, exif(bytes(64) + PREVIEW, bytes(64) + b"maker's"))
    ),
    "photoshop": _with(_segment(0xED, _resources(PREVIEW))),
    "xmp": _with(_segment(0xE1, XMP + _packet(PREVIEW))),
    "jfxx": _with(_segment(0xE0, b"JFXX\0\x10" + PREVIEW)),
    "jfxx, zeros behind": _with(_segment(0xE0, b"JFXX\0\x10" + PREVIEW + bytes(64))),
    "unknown": _with(_segment(0xEA, b"Maker\0" + PREVIEW)),
    "unknown, room behind": _with(_segment(0xEA, b"Maker\0" + PREVIEW + bytes(64) + b"end")),
    "behind": PHOTO + bytes(100) + PREVIEW,
    "png": _png((b"eXIf", exif(PREVIEW)[6:])),
}


DROPPED: dict[str, bytes] = {
    "film": PHOTO + b"\0\0\0\x18ftypmp42" + PREVIEW,
    "trailer after preview": PHOTO + PREVIEW + b"SEFT" + PREVIEW,
    "cut preview behind": PHOTO + PREVIEW[:-30],
    "flashpix": _with(_segment(0xE2, b"FPXR\0\0" + PREVIEW)),
    "extended xmp": _with(
        _segment(0xE1, XMP + f"<x xmpNote:HasExtendedXMP='{'A' * 32}'/>".encode()),
        _segment(0xE1, EXTENDED_XMP + base64.b64encode(PREVIEW)),
    ),
    "unknown, no room": _with(_segment(0xEA, b"Maker\0" + OPTIMIZED + b"\1" * 64)),
    "png in xmp": _with(_segment(0xE1, XMP + _packet(encode(picture(15, (32, 24)), "PNG")))),
    "credentials": _with(
        _segment(0xEB, b"JP\0\1\0\0\0\1\0\0\x40\0jumb\0\0\0\x1ejumdc2pa" + bytes(40)),
        _segment(0xEB, b"JP\0\1\0\0\0\2\0\0\x40\0jumb" + PREVIEW),
    ),
    "segment between scans": PROGRESSIVE[:SECOND_SCAN]
    + _segment(0xEA, b"Maker\0" + PREVIEW)
    + PROGRESSIVE[SECOND_SCAN:],
    "cut in a segment": _with(_segment(0xEA, b"Maker\0" + PREVIEW[:-40])),
    "arithmetic in a segment": _with(
        _segment(0xEA, PREVIEW.replace(b"\xff\xc0", b"\xff\xc9") + b"tail")
    ),
    "png profile": _png(
        (
            b"zTXt",
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 99\n" + PREVIEW.hex().encode()),
        )
    ),
    "png compressed xmp": _png(
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_packet(PREVIEW))),
    ),
    "tiff layers": encode(
        picture(12, (64, 48)),
        "TIFF",
        tiffinfo={37724: b"Adobe Photoshop Document Data Block\0" + PREVIEW[2:]},
    ),
    "png layer": _png((b"mkBF", PREVIEW), (b"prVW", PREVIEW)),
    "png behind": _png() + PREVIEW,
}


def _streams(data: bytes) -> list[Image.Image]:
    """Return all JPEG pictures in a file: plain, deflated, base64 or hexadecimal."""
    for match in re.finditer(rb"\x78\x9c", data):
        with suppress(zlib.error):
            data += zlib.decompressobj().decompress(data[match.start() :])
    text = re.sub(rb"&#xA;|\s", b"", data)
    for match in re.finditer(rb"/9j/[A-Za-z0-9+/=]+", text):
        data += base64.b64decode(match[0])
    for match in re.finditer(rb"(?i)ffd8ff[0-9a-f]{200,}", data):
        data += bytes.fromhex(match[0][: len(match[0]) // 2 * 2].decode())
    found = []
    for match in re.finditer(rb"\xff\xd8\xff", data):
        try:
            found.append(decode(data[match.start() :]))
        except OSError:
            continue
    return found


def _leaks(data: bytes) -> bool:
    """Return whether a file contains the original preview, or a part of its data."""
    original, middle = decode(PREVIEW), PREVIEW[-60:-44]
    return middle in data or any(
        one.size == original.size and error(one, original) < 20 for one in _streams(data)
    )


@pytest.mark.parametrize("name", REVERSIBLE)
def test_previews_are_negated(name: str, tmp_path: Path) -> None:
    data = REVERSIBLE[name]
    assert _leaks(data)  # the positive control
    once = negative(tmp_path, data)
    assert not _leaks(once)
    previews = [one for one in _streams(once) if one.size == (32, 24)]
    assert previews
    assert all(error(one, negated(PREVIEW)) <= LARGEST for one in previews)
    twice = negative(tmp_path, once)
    if name == "png":  # its pixels are deflated anew
        assert exif(PREVIEW)[6:] in twice
    else:
        assert twice == data


@pytest.mark.parametrize("name", DROPPED)
def test_previews_that_cannot_be_negated_are_dropped(name: str, tmp_path: Path) -> None:
    data = DROPPED[name]
    assert _leaks(data) or name == "png in xmp"  # the positive control
    once = negative(tmp_path, data)
    assert not _leaks(once)
    assert b"HasExtendedXMP" not in once
    assert b"iVBORw0KGgo" not in once
    assert error(decode(once), negated(data)) <= LARGEST
    assert negative(tmp_path, negative(tmp_path, once)) == once
    if data.startswith(b"\xff\xd8"):
        assert any("dropped" in note or "blanked" in note for note in notes(tmp_path, data))


def test_an_exif_thumbnail_that_does_not_fit_is_moved(tmp_path: Path) -> None:
    assert len(negative(tmp_path, OPTIMIZED)) > len(OPTIMIZED)
    data = _with(_segment(0xE1, exif(OPTIMIZED, b"maker's")))
    once = negative(tmp_path, data)
    for found, expected in (
        (once, negated(OPTIMIZED)),
        (negative(tmp_path, once), decode(OPTIMIZED)),
    ):
        assert b"maker's" in found
        assert error(decode(_exif_thumbnail(found)), expected) <= LARGEST
    assert not _leaks(once)


@pytest.mark.parametrize("quality", [50, 85, 95])
def test_a_preview_without_room_is_shortened_by_unused_codes(quality: int, tmp_path: Path) -> None:
    """As in makers' notes, where offsets are not known."""
    for seed in range(20):
        preview = encode(picture(seed, (160, 120)), "JPEG", quality=quality)
        if len(negative(tmp_path, preview)) > len(preview):
            break
    else:
        pytest.fail("no preview whose negative is longer")
    data = _with(_segment(0xEA, b"Maker\0" + preview + b"\1" * 64))
    once = negative(tmp_path, data)
    assert notes(tmp_path, data) == []
    at = data.index(b"Maker")
    assert once.index(b"\1" * 64) == data.index(b"\1" * 64)
    assert error(decode(once[at + 6 :]), negated(preview)) <= LARGEST
    twice = negative(tmp_path, once)
    assert decode(twice[at + 6 :]).tobytes() == decode(preview).tobytes()


def _exif_thumbnail(data: bytes) -> bytes:
    """Return the thumbnail that the tags 513 and 514 of the EXIF block point to."""
    block = data.index(b"Exif\0\0") + 6
    first = int.from_bytes(data[block + 4 : block + 8], "big")
    second = block + int.from_bytes(data[block + first + 14 : block + first + 18], "big")
    fields = {
        tag: value
        for tag, _, _, value in (
            struct.unpack_from(">HHII", data, second + 2 + 12 * number) for number in range(3)
        )
    }
    return data[block + fields[513] :][: fields[514]]


@pytest.mark.parametrize("kind", ["palette", "colors"])
def test_thumbnails_of_samples_are_negated(kind: str, tmp_path: Path) -> None:
    colors, indices = bytes(range(256)) * 3, bytes(range(32))
    content = b"\x11\x08\x04" + colors + indices if kind == "palette" else b"\x13\x10\x10" + colors
    data = _with(_segment(0xE0, b"JFXX\0" + content))
    once = negative(tmp_path, data)
    assert bytes(255 - value for value in colors) + indices * (kind == "palette") in once
    assert negative(tmp_path, once) == data


def test_both_pictures_of_an_mpo_are_negated_and_indexed(tmp_path: Path) -> None:
    first, second = picture(13, (80, 60)), picture(14, (40, 30))
    buffer = BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], exif=exif(PREVIEW))
    data = buffer.getvalue()
    once = negative(tmp_path, data)
    with Image.open(BytesIO(data)) as before, Image.open(BytesIO(once)) as after:
        assert after.n_frames == 2  # type: ignore[attr-defined]
        for number in range(2):
            before.seek(number)
            after.seek(number)
            old = Image.eval(before.convert("RGB"), lambda value: 255 - value)
            assert error(after, old) <= LARGEST
    assert negative(tmp_path, once) == data


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_previews_in_exif_written_by_pillow_are_negated(kind: str, tmp_path: Path) -> None:
    assert not _leaks(negative(tmp_path, encode(picture(15), kind, exif=exif(PREVIEW))))


def test_a_tiff_keeps_its_exif(tmp_path: Path) -> None:
    fields = Image.Exif()
    fields[0x010F] = "Maker"
    fields.get_ifd(0x8769).update({0x9003: "2026:01:02 03:04:05", 0x927C: b"maker's" + PREVIEW})
    fields.get_ifd(0x8825).update({1: "N", 2: (60.0, 10.0, 0.5)})
    written = Image.Exif()
    written.load(fields.tobytes())
    once = negative(tmp_path, encode(picture(15), "TIFF", exif=written))
    assert not _leaks(once)
    with Image.open(BytesIO(once)) as image:
        found = image.getexif()
        assert found[0x010F] == "Maker"
        assert found.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
        assert found.get_ifd(0x8825) == {1: "N", 2: (60.0, 10.0, 0.5)}


@pytest.mark.timeout(60)
def test_a_thumbnail_with_an_offset_beyond_the_block_is_blanked() -> None:
    """The offset is near 2^31: nothing of that size is allocated."""
    stream = b"\xff\xd8\xff\xe0 no picture"
    fields = ((0x201, 0x8000_0044), (0x202, len(stream)))
    second = (2).to_bytes(2, "big") + b"".join(
        tag.to_bytes(2, "big") + b"\0\4" + (1).to_bytes(4, "big") + value.to_bytes(4, "big")
        for tag, value in fields
    )
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + b"\0\0" + (14).to_bytes(4, "big") + second
    found = previews.negate_exif(tiff + stream)
    assert len(found.data) == len(tiff + stream)
    assert stream not in found.data
