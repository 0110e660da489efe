"""Malformed Pulumi.STACK.yaml files: each fault is named with its line and column."""

from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.init import settings_file, stack_file

GOOD = """\
# comment
config:
  image-pipeline:flavor: standard.tiny
  image-pipeline:operatorCidrs: [192.0.2.7/32]
  image-pipeline:s3SecretKey:
    secure: v1:abc
  pulumi:tags: {owner: me}
encryptionsalt: v1:salt
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "Pulumi.lab.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_settings_are_read_by_name(tmp_path: Path) -> None:
    assert stack_file.read(written(tmp_path, GOOD)) == {
        "flavor": "standard.tiny",
        "operatorCidrs": ["192.0.2.7/32"],
        "s3SecretKey": {"secure": "v1:abc"},
        "pulumi:tags": {"owner": "me"},
    }


def test_written_settings_are_read_again(tmp_path: Path) -> None:
    settings = {
        "flavor": "standard.tiny",
        "operatorCidrs": ["192.0.2.7/32"],
        "pipelines": {
            "negatives": {"transform": "negate", "inputBucket": "007"},
            "b": {"from": []},
        },
        "s3SecretKey": {"secure": "v1:abc"},
    }
    text = settings_file.text("lab", settings)
    assert stack_file.read(written(tmp_path, text)) == settings
    assert "\n  image-pipeline:pipelines:\n    negatives:\n      transform: negate\n" in text


@pytest.mark.parametrize("text", ["", "config:\n", "encryptionsalt: x\n", "# nothing\n"])
def test_file_without_settings_is_empty(tmp_path: Path, text: str) -> None:
    assert stack_file.read(written(tmp_path, text)) == {}


@pytest.mark.parametrize("date", ["2026-11-28", "2026-13-45", "2026-11-28T09:30:00Z"])
def test_date_is_text_as_it_is_for_the_engine(tmp_path: Path, date: str) -> None:
    file = written(tmp_path, f"config:\n  image-pipeline:image: {date}\n")
    assert stack_file.read(file) == {"image": date}


BAD = [
    ("config:\n  image-pipeline:flavor: [a\n", "line 3, column 1"),
    ("config:\n\timage-pipeline:flavor: a\n", "line 2, column 1"),
    ("config:\n  image-pipeline:flavor: a: b\n", "line 2, column 27"),
    ("config:\n  image-pipeline:image: *none\n", "line 2, column 25"),
    ("config:\n  image-pipeline:image: !!python/name:os.system x\n", "line 2, column 25"),
    (
        "config:\n  image-pipeline:flavor: a\n  image-pipeline:flavor: b\n",
        "line 3, column 3: image-pipeline:flavor is set twice (first in line 2)",
    ),
    ("config:\n  image-pipeline:image: !!int abc\n", "line 2, column 25: 'abc' is not of the type"),
    ("config:\n  image-pipeline:image: !!timestamp x\n", "line 2, column 25: 'x' is not of"),
    ("config: {}\nconfig: {}\n", "line 2, column 1: config is set twice"),
    ("config:\n  ? [a]\n  : b\n", "line 2, column 5: a key must be plain text"),
    ("config:\n  {{ x }}: b\n", "line 2, column 3: a key must be plain text"),
    ("config:\n  image-pipeline:operatorCidrs: &a [*a]\n", "must not contain itself"),
    ("config: [a, b]\n", "line 1, column 9: config must be a mapping"),
    ("- config\n", "line 1, column 1: the file must be a mapping"),
    ("config:\n  flavor: a\n", "line 2, column 3: flavor lacks the project's name"),
    (b"config:\n  image-pipeline:image: \xff\n", "byte 32: not UTF-8"),
    ("config:\n  image-pipeline:image: a\x00\n", "character"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_fault_is_named_with_its_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(CommandError) as refusal:
        stack_file.read(written(tmp_path, text))
    message = str(refusal.value)
    assert message.startswith("Pulumi.lab.yaml")
    assert words in message
    assert "\n" not in message


def test_all_doubled_keys_are_named_at_once(tmp_path: Path) -> None:
    lines = [f"  image-pipeline:{name}: 1" for name in ("flavor", "image", "image", "flavor")]
    with pytest.raises(CommandError) as refusal:
        stack_file.read(written(tmp_path, "\n".join(["config:", *lines])))
    assert len(str(refusal.value).splitlines()) == 2
