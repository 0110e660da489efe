"""PNM and PAM: every picture, maxval and kind of channel; headers, comments and alpha stay."""

import itertools
import random
from pathlib import Path

import pytest

from tests.worker.negation import negative
from worker.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("compiled")
MAXVALS = (1, 7, 255, 256, 1000, 1023, 4095, 65535)
WIDTH, HEIGHT = 7, 5
PAM = {"GRAYSCALE": 1, "GRAYSCALE_ALPHA": 2, "RGB": 3, "RGB_ALPHA": 4, "CMYK_ALPHA": 5}
PAM_OF_ONE = b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 9\nENDHDR\n"


def binary(values: list[int], maxval: int) -> bytes:
    """Return samples of one or two bytes."""
    return b"".join(value.to_bytes(1 if maxval < 256 else 2, "big") for value in values)


def plain(values: list[int], _maxval: int) -> bytes:
    """Return samples as text, with a comment."""
    return b"  ".join(b"%d" % value for value in values) + b" # P5 within a comment\n"


def samples(channels: int, maxval: int) -> list[int]:
    """Return samples, the smallest and the largest among them."""
    dice = random.Random(maxval)  # noqa: S311
    count = WIDTH * HEIGHT * channels
    return [0, maxval, *(dice.randint(0, maxval) for _ in range(count - 2))]


@pytest.mark.parametrize(("kind", "maxval"), list(itertools.product((2, 3, 5, 6), MAXVALS)))
def test_all_pictures_keep_their_maxval_and_header(kind: int, maxval: int, tmp_path: Path) -> None:
    values = samples(3 if kind in (3, 6) else 1, maxval)
    head = b"P%d\n# comment\n%d %d\n%d\n" % (kind, WIDTH, HEIGHT, maxval)
    encoded = plain if kind in (2, 3) else binary
    data = 2 * (head + encoded(values, maxval))
    expected = 2 * (head + encoded([maxval - value for value in values], maxval))
    assert negative(tmp_path, data) == expected
    assert negative(tmp_path, expected) == data


@pytest.mark.parametrize(("kind", "maxval"), list(itertools.product(PAM, MAXVALS)))
def test_a_pam_keeps_its_alpha(kind: str, maxval: int, tmp_path: Path) -> None:
    channels = PAM[kind]
    values = samples(channels, maxval)
    expected = [
        value if "ALPHA" in kind and number % channels == channels - 1 else maxval - value
        for number, value in enumerate(values)
    ]
    head = (
        f"P7\n#c\nWIDTH {WIDTH}\nHEIGHT {HEIGHT}\nDEPTH {channels}\nMAXVAL {maxval}\n"
        f"TUPLTYPE {kind}\nENDHDR\n"
    ).encode()
    data = head + binary(values, maxval) + b"P4 1 1 \x80"
    assert negative(tmp_path, data) == head + binary(expected, maxval) + b"P4 1 1 \0"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P4 9 2\n\xaa\xff\x0f\0", b"P4 9 2\n\x55\x7f\xf0\x80"),  # unused bits stay
        (b"P4 8 1\n\xaaP4 8 1\n\x0f", b"P4 8 1\n\x55P4 8 1\n\xf0"),
        (b"P1 3 2 # 1\n010 1\n#1\n11 P1 1 1 0", b"P1 3 2 # 1\n101 0\n#1\n00 P1 1 1 1"),
        (b"P2 1 1 9 007", b"P2 1 1 9 2"),
        (b"P5 1 1 9 \x07\n\0", b"P5 1 1 9 \x02\n\0"),
        (PAM_OF_ONE + b"\7", PAM_OF_ONE + b"\2"),
    ],
)
def test_small_files(data: bytes, expected: bytes, tmp_path: Path) -> None:
    assert negative(tmp_path, data) == expected


def test_a_picture_larger_than_a_piece(tmp_path: Path) -> None:
    row = bytes(range(200))
    head = b"P5 200 3000 199\n"
    assert negative(tmp_path, head + row * 3000) == head + row[::-1] * 3000
    head, numbers = b"P2 200 3000 199\n", b"".join(b"%d\n" % value for value in row)
    backwards = b"".join(b"%d\n" % value for value in row[::-1])
    assert negative(tmp_path, head + numbers * 3000) == head + backwards * 3000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P5 2 2 100\n\x01\x02\x03\x65", "above its maxval"),
        (b"P5 2 2 100\n\x65\x02\x03\x04", "above its maxval"),
        (b"P5 1 2 300\n\x01\x2d\0\0", "above its maxval"),
        (b"P2 2 1 100 1 101", "above its maxval"),
        (b"P2 2 1 100 1 " + b"0" * 5000, "above its maxval"),
        (b"P2 2 1 100 1 -1", "other than digits"),
        (b"P2 2 1 100 a b c d", "other than digits"),
        (b"P1 1 1 ab", "other than digits"),
        (b"P2 2 1 100 1", "truncated"),
        (b"P1 2 2 010", "truncated"),
        (b"P6 1 1 255\n", "truncated"),
        (b"P6 1 1 255\nabcP6 1 1 255\nab", "truncated"),
        (b"P6 1 1 255\nabcdef", "data after its picture"),
        (b"P6 1 1 70000\n" + bytes(6), "maxval must be 1 to 65535, but is 70000"),
        (b"P5 0 1 255\n", "no width"),
        (b"P5 " + b"9" * 5000 + b" 1 255\n", "header is damaged"),
        (b"P5 20000 20000 255\n", "400,000,000 pixels"),
        (b"PF\n1 1\n-1.0\n" + bytes(12), r"floating-point samples \(PFM\)"),
        (b"P7\nWIDTH 1\nHEIGHT 1\n", "header is damaged"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nENDHDR\n", "lacks its width, height, depth or maxval"),
        (
            b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RADAR\nENDHDR\nabcd",
            "4 channels of the type 'RADAR'",
        ),
    ],
)
def test_refused_files(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)
