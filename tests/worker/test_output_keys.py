"""Object keys of results: defaults and patterns; results of different inputs never collide."""

import pytest

from worker.errors import InvalidInput
from worker.transforms.output_keys import check, output_keys, possible_keys

JPEG, PNG, CSV, PDF = "image/jpeg", "image/png", "text/csv", "application/pdf"


@pytest.mark.parametrize(
    ("pattern", "key", "types", "expected"),
    [
        ("", "a.jpg", [JPEG], ["a.jpg"]),
        ("", "a.JPEG", [JPEG], ["a.JPEG"]),
        ("", "a.jpg", [PNG], ["a.jpg.png"]),
        ("", "a", [PNG], ["a.png"]),
        ("", "a.xyz", ["application/x-unknown"], ["a.xyz"]),
        ("", "a.tar.gz", ["application/octet-stream"], ["a.tar.gz"]),
        ("", "day 1/é/a.pdf", [JPEG, JPEG], ["day 1/é/a.pdf.1.jpg", "day 1/é/a.pdf.2.jpg"]),
        ("", "a.pdf", [PDF, CSV], ["a.pdf.1.pdf", "a.pdf.2.csv"]),
        ("", "folder/a.jpg", [JPEG], ["folder/a.jpg"]),
        ("", "/a.jpg", [JPEG], ["/a.jpg"]),
        ("", "a.jpg", [], []),
        ("small_{name}", "x/y/a.jpg", [JPEG], ["x/y/small_a.jpg"]),
        ("{name}.{ext}", "a.jpeg", [JPEG], ["a.jpeg.jpeg"]),
        ("{name}.{ext}", "a.jpeg", [PNG], ["a.jpeg.png"]),
        ("{name}.{ext}", "a", ["application/x-unknown"], ["a.bin"]),
        ("{run}/{name}", "x/a.jpg", [JPEG], ["x/0123/a.jpg"]),
        ("{number}-{name}", "a", [CSV, CSV], ["1-a", "2-a"]),
        ("{{{name}}}", "a", [CSV], ["{a}"]),
        ("n_{name}", "{name}{0}", [CSV], ["n_{name}{0}"]),
    ],
)
def test_keys(pattern: str, key: str, types: list[str], expected: list[str]) -> None:
    if pattern:
        check(pattern)
    assert output_keys(pattern, key, types, "0123") == expected


def test_several_results_need_numbers() -> None:
    with pytest.raises(InvalidInput, match=r"it has 2 results, but outputKey 'x_\{name\}' has no"):
        output_keys("x_{name}", "a", [CSV, CSV], "0123")


def test_two_results_with_one_key_are_refused() -> None:
    types = ["application/x-unknown"] * 10 + ["image/jpeg"]  # 1 and 1jpg, 11 and jpg
    with pytest.raises(InvalidInput, match=r"two of its results have the key 'in/a\.1jpg11jpg': "):
        output_keys("{name}{number}{ext}", "in/a.1jpg", types, "0123")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("fixed.csv", r"without \{name\}"),
        ("{ext}", r"without \{name\}"),
        ("{name}{size}", r"has \{size\}"),
        ("{name}{}", r"has \{\}"),
        ("{name}{0}", r"has \{0\}"),
        ("{name.__class__}", r"has \{name.__class__\}"),
        ("{name[0]}", r"has \{name\[0\]\}"),
        ("{name:>1000000}", "has a format"),
        ("{name!r}", "has a format"),
        ("{name}}", "single brace"),
        ("{name", "single brace"),
        ("/{name}", "without a slash first"),
        ("{name}\n", "not a key"),
    ],
)
def test_wrong_patterns(pattern: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as raised:
        check(pattern)
    assert repr(pattern) in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["x/a.jpg"]),
        ("small_{name}", ["x/small_a.jpg"]),
        ("{name}.{ext}", ["x/a.jpg.jpg"]),
        ("{number}{name}", ["x/1a.jpg"]),
        ("{run}/{name}", []),
    ],
)
def test_the_key_of_a_single_result_is_known_before(pattern: str, expected: list[str]) -> None:
    assert possible_keys(pattern, "x/a.jpg") == expected
    if expected:
        assert output_keys(pattern, "x/a.jpg", [JPEG], "") == expected
