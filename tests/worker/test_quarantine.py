"""Files that cannot be transformed are kept with the reason, recorded, and deleted."""

import hashlib
import json
import zlib
from collections.abc import Callable

import pytest

from tests.worker.pictures import decode, deflated_zeros, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.tiff_files import LONG, SHORT, Page, tiff
from tests.worker.tiff_pages import Fields

PNG, JPEG = encode(picture(1), "PNG"), encode(picture(2, (200, 200)), "JPEG")


def huge() -> bytes:
    """Return a small file with 300 MB of pixels: a TIFF whose only strip is missing, as zeros."""
    fields: Fields = {256: (SHORT, (10_000,)), 257: (SHORT, (10_000,))}
    fields |= {258: (SHORT, (8, 8, 8)), 259: (SHORT, (8,)), 262: (SHORT, (2,)), 277: (SHORT, (3,))}
    fields |= {278: (SHORT, (10_000,)), 273: (LONG, (0,)), 279: (LONG, (0,))}
    return tiff(Page(fields))


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that unpacks to width x height x 3 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    body = deflated_zeros(height * (1 + 3 * width))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


BAD = {
    "not an image.jpg": b"nothing of the kind",
    "empty.png": b"",
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "truncated.png": PNG[: len(PNG) // 2],
    "corrupt.png": PNG[:60] + bytes(20) + PNG[80:],
    "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "document.pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
    "a/prefix/bad.png": b"bad",
    "drawing.wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
}


def test_only_bad_files_are_quarantined(pipeline: Pipeline) -> None:
    good = {"good.png": PNG, "good.jpg": JPEG}
    for key, body in (BAD | good).items():
        pipeline.put(key, body)
    pipeline.drain()
    assert pipeline.left() == []
    assert sorted(pipeline.keys(pipeline.output)) == ["negated_good.jpg", "negated_good.png"]
    rows = {row["key"]: row for row in pipeline.rows()}
    assert {key for key, row in rows.items() if row["outcome"] == "quarantined"} == set(BAD)
    for key, body in BAD.items():
        sha256 = hashlib.sha256(body).hexdigest()
        where = f"negatives/{key}/{sha256}"
        kept = pipeline.s3.get_object(Bucket=pipeline.quarantine, Key=where)
        assert kept["Body"].read() == body
        assert kept["ContentType"] == "application/octet-stream"
        answer = pipeline.s3.get_object(
            Bucket=pipeline.quarantine, Key=f"negatives/{key}/{sha256}.json"
        )
        note = json.loads(answer["Body"].read())
        assert (note["key"], note["sha256"]) == (key, sha256)
        assert note["reason"] == rows[key]["reason"] != ""
        assert rows[key]["output_key"] is None
    status = json.loads(pipeline.run("status", "--json").stdout)
    assert status["quarantined"] == len(BAD)
    assert any(status["last_error"].startswith(f"{key}: ") for key in BAD)


def test_the_tutorials_view_shows_negated_images_only(versioned: Pipeline) -> None:
    versioned.put("cat1.png", b"bad")
    versioned.put("cat2.png", PNG)
    versioned.drain()
    (row,) = versioned.sql("SELECT * FROM log_records", user=versioned.admin)
    assert row["negated_image_name"] == "negated_cat2.png"


@pytest.mark.parametrize(
    ("limits", "make", "reason"),
    [
        (
            {"pixels": 383},
            lambda: PNG,
            "has 384 pixels, more than the pipeline's limits.pixels, 383",
        ),  # 24 x 16 are 384
        ({"memory_mb": 300}, huge, "more memory"),
        ({}, lambda: bomb(16_000, 16_000), "has 256,000,000 pixels, more than"),
    ],
    ids=["pixels", "memory", "bomb"],
)
def test_files_above_the_limits(
    versioned: Pipeline, limits: dict[str, object], make: Callable[[], bytes], reason: str
) -> None:
    versioned.configure(limits=limits)
    versioned.put("x.png", make())
    versioned.put("y.png", encode(picture(3, (4, 4)), "PNG"))
    versioned.drain()
    rows = {row["key"]: row for row in versioned.rows()}
    assert reason in rows["x.png"]["reason"]
    assert rows["y.png"]["outcome"] == "done"


def test_a_file_at_the_limit_of_pixels(versioned: Pipeline) -> None:
    versioned.configure(limits={"pixels": 384})
    versioned.put("x.png", PNG)
    versioned.drain()
    assert error(decode(versioned.get("negated_x.png")), negated(PNG)) == 0


@pytest.mark.parametrize("length", [944, 945, 1024])
def test_long_keys(versioned: Pipeline, length: int) -> None:
    """`negatives/<key>/<sha256>.json` is 80 bytes longer than the key."""
    key, body = "k" * length, b"bad"
    versioned.put(key, body)
    versioned.drain()
    sha256 = hashlib.sha256(body).hexdigest()
    where = f"negatives/{key}/{sha256}"
    if length > 944:
        where = f"negatives/_long/{hashlib.sha256(key.encode()).hexdigest()}/{sha256}"
    assert versioned.keys(versioned.quarantine) == [where, f"{where}.json"]
    note = versioned.s3.get_object(Bucket=versioned.quarantine, Key=f"{where}.json")
    assert json.loads(note["Body"].read())["key"] == key
    assert versioned.left() == []
