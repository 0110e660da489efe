"""Crafted files are refused within 2 s of CPU time and 64 MB above an idle worker."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.seeds import chunk
from tests.worker.pictures import deflated_zeros, encode, picture
from tests.worker.tiff_files import LONG, SHORT, Page, tiff
from worker.transforms.negate import kernels

pytestmark = pytest.mark.usefixtures("compiled")
ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT.parent / "shared" / "images" / "imagetestsuite"
SECONDS, MEMORY = 2, 64 * 2**20

# Negates each of its arguments, as the worker's child does, and prints what happened. Measured is
# CPU time, since the machine may be busy, and VmHWM: ru_maxrss begins with the parent's.
_CHILD = r"""
import json, re, sys, time
from pathlib import Path
from worker.errors import InvalidInput
from worker.transforms import negate
from worker.transforms.negate import kernels
kernels.library = kernels.load(Path(sys.argv[1]))
negate.negate_file(Path(sys.argv[3]), Path(sys.argv[2]), 250_000_000)
def peak():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
for name in sys.argv[4:]:
    begun = time.process_time()
    try:
        outcome, _ = negate.negate_file(Path(name), Path(sys.argv[2]), 250_000_000)
    except InvalidInput as error:
        outcome = f"refused: {error}"
    print(json.dumps([name, outcome, time.process_time() - begun, peak() - before]))
"""


def _negate_all(folder: Path, files: list[Path]) -> list[tuple[str, str, float, int]]:
    library = kernels.path(kernels.library).parent if kernels.library else folder
    plain = folder / "plain.jpg"
    plain.write_bytes(encode(picture(), "JPEG"))
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, library, folder / "target", plain, *files],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in result.stdout.splitlines()]


def _png(width: int, height: int, kind: int, depth: int, data: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    parts = [header, *more, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _sized(data: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _many_scans() -> bytes:
    """Return a progressive JPEG with its last scan repeated."""
    data = encode(picture(1, (400, 400)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * 20_000 + data[-2:]


def _many_pages() -> bytes:
    """Return a TIFF of 30,000 pages, whose directories follow each other."""
    entry = struct.Struct("<HHII")
    fields = ((256, 8), (257, 6), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (279, 48))
    size, count = 2 + entry.size * len(fields) + 4, 30_000
    pages = [
        struct.pack("<H", len(fields))
        + b"".join(entry.pack(tag, 4, 1, value or 8 + size * count) for tag, value in fields)
        + struct.pack("<I", 8 + size * (number + 1) if number + 1 < count else 0)
        for number in range(count)
    ]
    return b"II*\0\x08\0\0\0" + b"".join(pages) + bytes(48)


JPEG = encode(picture(), "JPEG")
PROGRESSIVE = encode(picture(), "JPEG", progressive=True)
GIF = encode(picture(), "GIF")
CRAFTED: dict[str, Callable[[], bytes]] = {
    "png above the pixel limit": lambda: _png(60_000, 60_000, 2, 8, deflated_zeros(1 << 20)),
    "png with a row of 200 MP": lambda: _png(200_000_000, 1, 2, 8, deflated_zeros(1 << 20)),
    "png that claims 200 MP and has 1 MB": lambda: _png(
        20_000, 10_000, 6, 16, deflated_zeros(1 << 20)
    ),
    "png of 1 pixel that inflates to 1 GB, filter 9": lambda: _png(
        1, 1, 0, 8, zlib.compress(b"\t" + bytes(50)) + deflated_zeros(1 << 30)
    ),
    "png of half a million chunks": lambda: _png(
        8, 8, 0, 8, deflated_zeros(1 << 20), chunk(b"tEXt", b"a\0b") * 500_000
    ),
    "png with a huge chunk": lambda: (
        _png(8, 8, 0, 8, b"")[:33] + b"\x7f\xff\xff\xffIDAT" + bytes(99)
    ),
    "truncated png with a profile that inflates to 1 GB": lambda: _png(
        8, 8, 0, 8, b"", chunk(b"zTXt", b"Raw profile type exif\0\0" + deflated_zeros(1 << 30))
    ),
    "jpeg above the pixel limit": lambda: _sized(JPEG, 65_000, 65_000),
    "jpeg that claims 200 MP": lambda: _sized(JPEG, 20_000, 10_000),
    "progressive jpeg that claims 200 MP": lambda: _sized(PROGRESSIVE, 20_000, 10_000),
    "progressive jpeg of 20,000 scans": _many_scans,
    "jpeg without an end": lambda: JPEG[:-40],
    "jpeg of comments only": lambda: JPEG[:2] + b"\xff\xfe\xff\xff" * 50_000,
    "jpeg of 2 MB of stray bytes": lambda: JPEG[:2] + b"\xff\0" * (1 << 20) + JPEG[2:],
    "gif that claims 4 gigapixels": lambda: GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:],
    "gif without an end": lambda: GIF[:-1] + b"\x21\xfe" + b"\xff" * 1000,
    "truncated webp": lambda: encode(picture(), "WEBP")[:-20],
    "tiff of 250,001 strips": lambda: tiff(
        Page(
            {
                256: (SHORT, (1,)),
                257: (LONG, (250_001,)),
                278: (SHORT, (1,)),
                273: (LONG, (8,) * 250_001),
                279: (LONG, (1,) * 250_001),
            }
        )
    ),
    "tiff of 240,000 directory entries": _many_pages,
    "truncated tiff": lambda: encode(picture(), "TIFF")[:90],
    "empty file": lambda: b"",
    "two bytes": lambda: b"\xff\xd8",
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_files_are_refused_cheaply(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CRAFTED[name]())
    (_, outcome, seconds, memory) = _negate_all(tmp_path, [path])[0]
    assert outcome.startswith("refused: ")
    assert seconds < SECONDS
    assert memory < MEMORY


@pytest.mark.parametrize("rows_per_strip", [10_000, 100])
def test_a_large_tiff_needs_little_memory(rows_per_strip: int, tmp_path: Path) -> None:
    """100 MB, without compression: it is read and written piece by piece."""
    path = tmp_path / "file"
    count = 10_000 // rows_per_strip
    size = rows_per_strip * 10_000
    page = Page(segments=[b""] * count)
    page.fields = {
        256: (SHORT, (10_000,)),
        257: (SHORT, (10_000,)),
        278: (SHORT, (rows_per_strip,)),
        273: (LONG, tuple(4096 + size * number for number in range(count))),
        279: (LONG, (size,) * count),
    }
    head = tiff(page)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(4096 + 10_000 * 10_000)
    (_, outcome, _, memory) = _negate_all(tmp_path, [path])[0]
    assert not str(outcome).startswith("refused")
    assert memory < MEMORY // 2


@pytest.mark.skipif(not SUITE.is_dir(), reason="no ../shared/images")
@pytest.mark.parametrize("kind", ["jpg", "png", "gif"])
def test_damaged_files_cost_little_time_and_memory(kind: str, tmp_path: Path) -> None:
    """One process negates or refuses the whole image test suite."""
    files = sorted(SUITE.glob(f"{kind}/*"))
    results = _negate_all(tmp_path, files)
    assert len(results) == len(files) > 10
    assert max(seconds for _, _, seconds, _ in results) < SECONDS
    assert results[-1][3] < MEMORY
    assert {outcome.startswith("refused: ") for _, outcome, _, _ in results} == {True, False}
