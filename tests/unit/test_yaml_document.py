"""YAML that is edited in place: comments, order and quotes stay."""

import random
from typing import Any

import pytest
import yaml

from cli.errors import CommandError
from cli.pipelines.yaml_document import YamlDocument

PATH = ("config", "image-pipeline:pipelines")
TEXT = """\
# head
config:
  image-pipeline:flavor: 'standard.tiny'   # small
  image-pipeline:operatorCidrs:
    - 127.0.0.1/32
    - "::1/128"

  # The pipelines.
  image-pipeline:pipelines:
    # about negatives
    negatives:
      transform: negate  # inverts
      ignore: [a,  'b']  # two

    # about thumbs
    thumbs:
      transform: "thumbnail"
      parameters:
        width: 300  # pixels
        # about height
        height: 0200
        token:
          secure: v1:abc/def==:xyz

  # Data are kept.
  image-pipeline:protectData: true  # last
# salt
encryptionsalt: v1:salt
"""


def edited(text: str, value: Any, path: tuple[str, ...] = PATH) -> str:
    document = YamlDocument(text)
    document.set(path, value)
    return document.text


def pipelines() -> Any:
    return yaml.safe_load(TEXT)["config"][PATH[-1]]


def test_equal_value_changes_nothing() -> None:
    assert edited(TEXT, pipelines()) == TEXT


def test_pipeline_is_added_above_the_comment_of_the_next_setting() -> None:
    value = {**pipelines(), "new": {"transform": "copy", "from": ["negatives", "thumbs"]}}
    added = "    new:\n      transform: copy\n      from: [negatives, thumbs]\n"
    head, tail = TEXT.split("\n  # Data", maxsplit=1)
    assert edited(TEXT, value) == f"{head}{added}\n  # Data{tail}"


def test_last_pipeline_is_removed_with_its_comment_only() -> None:
    value = pipelines()
    del value["thumbs"]
    head, rest = TEXT.split("\n    # about thumbs", maxsplit=1)
    assert edited(TEXT, value) == head + "\n  # Data" + rest.split("\n  # Data")[1]


def test_first_pipeline_is_removed_with_its_comment_only() -> None:
    value = pipelines()
    del value["negatives"]
    head, rest = TEXT.split("    # about negatives", maxsplit=1)
    assert (
        edited(TEXT, value) == head + "\n    # about thumbs" + rest.split("    # about thumbs")[1]
    )


def test_changed_value_keeps_its_comment() -> None:
    value = pipelines()
    value["thumbs"]["parameters"] |= {"width": 200, "crop": True}
    wanted = TEXT.replace("width: 300  #", "width: 200  #")
    wanted = wanted.replace("==:xyz\n", "==:xyz\n        crop: true\n")
    assert edited(TEXT, value) == wanted


def test_setting_that_is_missing_is_added_last() -> None:
    text = "config:\n  a:b: 1  # one\n\n# salt\nencryptionsalt: x\n"
    wanted = "config:\n  a:b: 1  # one\n  a:p:\n    n: {}\n\n# salt\nencryptionsalt: x\n"
    assert edited(text, {"n": {}}, ("config", "a:p")) == wanted


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "config:\n", "config: {}", "config: ~\n", "x: 1"]
)
def test_mapping_that_is_absent_or_empty_is_made(text: str) -> None:
    found = yaml.safe_load(edited(text, {"n": {"transform": "copy"}}))
    assert found["config"] == {PATH[-1]: {"n": {"transform": "copy"}}}
    assert (yaml.safe_load(text) or {}).get("x") == found.get("x")


def test_line_ends_of_windows_stay() -> None:
    value = {**pipelines(), "new": {"transform": "copy"}}
    windows = edited(TEXT.replace("\n", "\r\n"), value)
    assert windows.replace("\r\n", "\n") == edited(TEXT, value)
    assert windows.count("\n") == windows.count("\r\n")


@pytest.mark.parametrize("text", ["yes", "1e3", "0o17", "~", "2026-11-28", "a: b", "é", "x\ny"])
def test_texts_stay_texts(text: str) -> None:
    value = {"n": {"transform": text, "parameters": {"argv": [text]}}}
    written = edited(TEXT, value)
    assert yaml.safe_load(written)["config"][PATH[-1]] == value
    assert f": {text}\n" not in written or text == "é"


def test_alias_that_would_change_is_refused() -> None:
    text = "a: &one {x: 1}\nb: *one\n"
    with pytest.raises(CommandError, match=r"anchor or an alias: write it out"):
        edited(text, {"x": 2}, ("b",))


def test_any_change_gives_the_value_and_keeps_all_other_lines() -> None:
    dice = random.Random(5)  # noqa: S311

    def made(depth: int) -> Any:
        kind = dice.randrange(6 if depth else 4)
        if kind < 4:
            return dice.choice(
                [1, 0.5, True, None, "text", "yes", "a#b", "- x", "'q\"", "x\n\ny\n"]
            )
        if kind == 4:
            return [made(depth - 1) for _ in range(dice.randrange(3))]
        return {dice.choice("abcdef"): made(depth - 1) for _ in range(dice.randrange(4))}

    text = TEXT
    for _ in range(300):
        value = {dice.choice("pqrst"): made(3) for _ in range(dice.randrange(1, 4))}
        text = edited(text, value)
        assert yaml.safe_load(text)["config"][PATH[-1]] == value
        for line in (*TEXT.splitlines()[:9], *TEXT.splitlines()[-4:]):
            assert f"{line}\n" in text


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("{a: {b: 1}}  # one\n", {"a": {"b": 2}}, "x: {a: {b: 2}}  # one\n"),
        ("{a: {b: 1}}  # one\n", {"a": {"b": 1, "c": 2}}, "x:\n  a:\n    b: 1\n    c: 2\n"),
        ("{a: {b: 1},\n  c: 1}\n", {"a": {}, "c": 1}, "x:\n  a: {}\n  c: 1\n"),
        ("{a: [1]}\n", {"a": [1, 2]}, "x:\n  a: [1, 2]\n"),
    ],
)
def test_mapping_in_braces_is_written_anew_if_it_must_grow(
    before: str, value: Any, after: str
) -> None:
    assert edited(f"x: {before}# end\n", value, ("x",)) == f"{after}# end\n"
