"""Files that mean harm: refused with an InvalidInput, within 2 s and 64 MB above an idle worker."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.seeds import chunk
from tests.worker.kernel_build import compiled_kernels
from tests.worker.pictures import deflated_zeros, encode, picture
from worker.transforms.negate import kernels

__all__ = ["compiled_kernels"]
pytestmark = pytest.mark.usefixtures("compiled")
ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT.parent / "shared" / "images" / "imagetestsuite"
SECONDS, MEMORY = 2, 64 * 2**20

# A worker's child as far as files are concerned: negates each of its arguments and tells.
# CPU time, since others may be at work; not ru_maxrss, which begins with the parent's.
_CHILD = r"""
import json, re, sys, time
from pathlib import Path
from worker.errors import InvalidInput
from worker.transforms import negate
from worker.transforms.negate import kernels
kernels.library = kernels.load(Path(sys.argv[1]))
negate.apply(Path(sys.argv[3]), Path(sys.argv[2]), {"pixels": 250_000_000})
def peak():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
for name in sys.argv[4:]:
    begun = time.process_time()
    try:
        said = negate.apply(Path(name), Path(sys.argv[2]), {"pixels": 250_000_000})
    except InvalidInput as verdict:
        said = f"refused: {verdict}"
    except OSError as error:  # Pillow's word for a damaged file
        said = f"refused: {error}"
    print(json.dumps([name, said, time.process_time() - begun, peak() - before]))
"""


def _negate_all(folder: Path, files: list[Path]) -> list[tuple[str, str, float, int]]:
    library = Path(kernels.library._name).parent if kernels.library else folder
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
    """A JPEG whose header says another size."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _many_scans() -> bytes:
    """The last scan of a progressive JPEG again and again."""
    data = encode(picture(1, (400, 400)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * 20_000 + data[-2:]


JPEG = encode(picture(), "JPEG")
PROGRESSIVE = encode(picture(), "JPEG", progressive=True)
GIF = encode(picture(), "GIF")
CRAFTED: dict[str, Callable[[], bytes]] = {
    "png says more pixels than we take": lambda: _png(
        60_000, 60_000, 2, 8, deflated_zeros(1 << 20)
    ),
    "png has one row of 200 MP": lambda: _png(200_000_000, 1, 2, 8, deflated_zeros(1 << 20)),
    "png says 200 MP, has 1 MB": lambda: _png(20_000, 10_000, 6, 16, deflated_zeros(1 << 20)),
    "png inflates to 1 GB, says 1 pixel, filter 9": lambda: _png(
        1, 1, 0, 8, zlib.compress(b"\t" + bytes(50)) + deflated_zeros(1 << 30)
    ),
    "png of half a million chunks": lambda: _png(
        8, 8, 0, 8, deflated_zeros(1 << 20), chunk(b"tEXt", b"a\0b") * 500_000
    ),
    "png with a huge chunk": lambda: (
        _png(8, 8, 0, 8, b"")[:33] + b"\x7f\xff\xff\xffIDAT" + bytes(99)
    ),
    "png profile inflates to 1 GB, cut": lambda: _png(
        8, 8, 0, 8, b"", chunk(b"zTXt", b"Raw profile type exif\0\0" + deflated_zeros(1 << 30))
    ),
    "jpeg says more pixels than we take": lambda: _sized(JPEG, 65_000, 65_000),
    "jpeg says 200 MP": lambda: _sized(JPEG, 20_000, 10_000),
    "progressive jpeg says 200 MP": lambda: _sized(PROGRESSIVE, 20_000, 10_000),
    "progressive jpeg of 20,000 scans": _many_scans,
    "jpeg without an end": lambda: JPEG[:-40],
    "jpeg of segments only": lambda: JPEG[:2] + b"\xff\xfe\xff\xff" * 50_000,
    "gif says 4 gigapixels": lambda: GIF[:6] + b"\xff\xff\xff\xff" + GIF[10:],
    "gif without an end": lambda: GIF[:-1] + b"\x21\xfe" + b"\xff" * 1000,
    "webp cut": lambda: encode(picture(), "WEBP")[:-20],
    "tiff cut": lambda: encode(picture(), "TIFF")[:90],
    "nothing": lambda: b"",
    "two bytes": lambda: b"\xff\xd8",
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted(name: str, tmp_path: Path) -> None:
    """Refused."""
    path = tmp_path / "file"
    path.write_bytes(CRAFTED[name]())
    (_, said, seconds, memory) = _negate_all(tmp_path, [path])[0]
    assert said.startswith("refused: ")
    assert seconds < SECONDS
    assert memory < MEMORY


@pytest.mark.skipif(not SUITE.is_dir(), reason="no ../shared/images")
@pytest.mark.parametrize("kind", ["jpg", "png", "gif"])
def test_suite(kind: str, tmp_path: Path) -> None:
    """All of them, one after the other: each taken or refused in time, memory never above."""
    files = sorted(SUITE.glob(f"{kind}/*"))
    results = _negate_all(tmp_path, files)
    assert len(results) == len(files) > 10
    assert max(seconds for _, _, seconds, _ in results) < SECONDS
    assert results[-1][3] < MEMORY
    assert {said.startswith("refused: ") for _, said, _, _ in results} == {True, False}
