"""Pipelines whose transform needs a folder, programs or a model: one sentence for each fault.

What only a machine can know has its rows in tests/worker: test_command.py, test_functions.py,
test_answers.py, test_preparation.py and test_output_keys.py.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidSettings
from infra.settings.pipelines import Pipeline, read

MODULE = """
from pathlib import Path

def thumbnail(source: Path, outputs: Path, *, size: int = 256) -> None: ...
def merged(sources: list[Path], outputs: Path) -> None: ...
def untyped(source, outputs, *, size=256): ...
def nothing(source: Path) -> None: ...
"""
HASH = "0123456789abcdef" * 4
LOCK = f"""\
# Written by uv.
numpy==2.3.4 ; python_version >= "3.11" \\
    --hash=sha256:{HASH} \\
    --hash=sha256:{HASH}
    # via -r requirements.in
pillow==12.0.0 --hash=sha256:{HASH}
"""
#: Settings that are refused, and how the sentence begins and goes on.
THUMBNAIL = {"transform": "pictures.own:thumbnail"}
RUN = {"transform": "command", "parameters": {"argv": ["python3", "{folder}/main.py"]}}
HUB: dict[str, Any] = {"transform": "answers", "parameters": {"model": "hub://org/name@v1"}}
HASHES = {"modelSha256": HASH, "tokenizerSha256": HASH}


@dataclass(frozen=True)
class Wrong:
    """A pipeline without what each row leaves out, and two parts of its sentence."""

    keys: dict[str, Any]
    thing: str
    remedy: str
    files: dict[str, str] = field(default_factory=dict)  # in its folder, besides FILES
    gone: str = ""  # a file that its folder lacks


FILES = {"pictures/own.py": MODULE, "main.py": "", "model.onnx": "", "tokenizer.json": ""}

TABLE = {
    "unknown transform": Wrong(
        {"transform": "answer"}, "transform is 'answer'", "did you mean answers?"
    ),
    "function without a folder": Wrong(
        {**THUMBNAIL, "folder": ""}, "folder is missing", "set folder to the folder that contains"
    ),
    "no module": Wrong({"transform": "pictures.mine:x"}, "folder is", "no pictures/mine.py"),
    "no function": Wrong(
        {"transform": "pictures.own:thumb"}, "transform is pictures.own:thumb", "define it there"
    ),
    "a parameter without a type": Wrong(
        {"transform": "pictures.own:untyped"}, "transform names untyped", "write its type"
    ),
    "a function of one argument": Wrong(
        {"transform": "pictures.own:nothing"}, "transform names nothing", "write def nothing(source"
    ),
    "a module that is no Python": Wrong(
        THUMBNAIL, "transform is pictures.own:thumbnail", "line 1", {"pictures/own.py": "def"}
    ),
    "unknown parameter": Wrong(
        {**THUMBNAIL, "parameters": {"siez": 1}}, "parameters.siez is not", "did you mean size?"
    ),
    "wrong parameter": Wrong(
        {**THUMBNAIL, "parameters": {"size": "big"}}, "parameters.size is 'big'", "a whole number"
    ),
    "missing parameter": Wrong(
        {"transform": "command"}, "parameters.argv is missing", "set it to a list"
    ),
    "model that the folder lacks": Wrong(
        {"transform": "answers"}, "folder has no model.onnx", "put it there", gone="model.onnx"
    ),
    "model outside of the folder": Wrong(
        {"transform": "answers", "parameters": {"modelFile": "../model.onnx"}},
        "folder has no ../model.onnx, the model",
        "put it there",
    ),
    "model without a folder": Wrong(
        {"transform": "answers", "folder": ""}, "folder is missing: answers needs", "model.onnx"
    ),
    "model without a revision": Wrong(
        {"transform": "answers", "parameters": {**HASHES, "model": "hub://org/name"}},
        "parameters.model is 'hub://org/name'",
        "hub://ORGANISATION/NAME@REVISION",
    ),
    "model without a hash": Wrong(HUB, "parameters.modelSha256 is ''", "64 hex digits"),
    "wrong hash": Wrong(
        {**HUB, "parameters": {**HUB["parameters"], **HASHES, "modelSha256": f"{HASH[1:]}g"}},
        f"parameters.modelSha256 is '{HASH[1:]}g'",
        "64 hex digits",
    ),
    "missing program": Wrong(
        {**RUN, "parameters": {"argv": ["{folder}/run"]}},
        "parameters.argv has {folder}/run",
        "the folder has no run",
    ),
    "program that is not executable": Wrong(
        {**RUN, "parameters": {"argv": ["{folder}/main.py"]}},
        "parameters.argv has {folder}/main.py as its program",
        "chmod +x",
    ),
    "missing script": Wrong(
        RUN, "parameters.argv has {folder}/main.py", "the folder has no main.py", gone="main.py"
    ),
    "script without a folder": Wrong(
        {**RUN, "folder": ""}, "parameters.argv has {folder}", "set folder"
    ),
    "unknown placeholder": Wrong(
        {**RUN, "parameters": {"argv": ["cat", "{input}"]}},
        "parameters.argv has the placeholder {input}",
        "use {inputs}",
    ),
    "two results with one key": Wrong(
        {"transform": "faces", "folder": "", "outputKey": "{name}"},
        "outputKey is '{name}' without {number}",
        "add {number}",
    ),
    "gather without from": Wrong(
        {**RUN, "gather": True, "from": []}, "gather is true, but from is missing", "name the pipe"
    ),
    "gather without {run}": Wrong(
        {**RUN, "gather": True, "outputKey": "{name}.{number}"},
        "outputKey is '{name}.{number}' without {run}",
        "add {run}",
    ),
    "gather of a transform that takes one file": Wrong(
        {"transform": "negate", "folder": "", "gather": True},
        "gather is true, but negate takes one file",
        "remove it",
    ),
    "gather of a function that takes one file": Wrong(
        {**THUMBNAIL, "gather": True},
        "gather is true, but pictures.own:thumbnail takes one file",
        "list[Path]",
    ),
    "loop": Wrong({**RUN, "from": ["copies", "one"]}, "from leads back to one", "remove it from"),
    "loop of a gather": Wrong(
        {**RUN, "from": ["one"], "gather": True}, "from leads back to one", "remove it from"
    ),
    "requirements without hashes": Wrong(
        RUN,
        "folder has a requirements.txt with 'numpy==2.3.4'",
        "uv pip compile --generate-hashes",
        {"requirements.txt": "numpy==2.3.4\n"},
    ),
    "requirements without versions": Wrong(
        RUN,
        "folder has a requirements.txt with 'numpy>=2'",
        "uv pip compile --generate-hashes",
        {"requirements.txt": f"{LOCK}numpy>=2 --hash=sha256:{HASH}\n"},
    ),
    "requirements of another index": Wrong(
        THUMBNAIL,
        "folder has a requirements.txt with '--index-url https://example.org'",
        "uv pip compile --generate-hashes",
        {"requirements.txt": f"--index-url https://example.org\n{LOCK}"},
    ),
    "packages for a model": Wrong(
        {"transform": "answers", "apt": ["vim"]}, "apt is set, but answers runs conf", "remove it"
    ),
    "network for a model": Wrong(
        {"transform": "answers", "network": True}, "network is set, but answers", "remove it"
    ),
    "secrets for a picture": Wrong(
        {"transform": "negate", "folder": "", "secrets": ["token"]}, "secrets is set", "remove it"
    ),
    "folder for a picture": Wrong({"transform": "negate"}, "folder is set, but neg", "remove it"),
    "addresses without a network": Wrong(
        {**RUN, "allow": ["192.0.2.0/24"]}, "allow is set, but network is not true", "set network"
    ),
    "secret that is no secret": Wrong(
        {**RUN, "secrets": ["plain"]}, "secrets has 'plain', which is not a sec", "set it with"
    ),
    "no folder": Wrong({**RUN, "folder": "/no/such"}, "folder is '/no/such', which", "name one"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    for name, text in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def faults(keys: dict[str, Any], folder: Path) -> list[str]:
    copies = {"transform": "copy"}
    one = {"folder": str(folder), "from": "copies", **keys}
    with pytest.raises(InvalidSettings) as refusal:
        read({"copies": copies, "one": one}, {"plain": False, "token": True})
    return list(refusal.value.sentences)


def good(keys: dict[str, Any], folder: Path) -> Pipeline:
    return read({"one": {"folder": str(folder), **keys}}, {"token": True})["one"]


@pytest.mark.parametrize("name", TABLE)
def test_bad_input_is_one_sentence(name: str, folder: Path) -> None:
    row = TABLE[name]
    for path, text in row.files.items():
        (folder / path).write_text(text)
    if row.gone:
        (folder / row.gone).unlink()
    (sentence,) = faults(row.keys, folder)
    assert sentence.startswith(f"pipelines.one.{row.thing}")
    assert row.remedy in sentence
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "keys",
    [
        THUMBNAIL,
        {**THUMBNAIL, "parameters": {"size": 3}, "apt": ["vim"], "secrets": ["token"]},
        {"transform": "answers"},
        {**HUB, "folder": "", "parameters": {**HUB["parameters"], **HASHES}},
        {**RUN, "network": True, "allow": ["192.0.2.0/24"], "secrets": ["token"]},
        {**RUN, "folder": "", "parameters": {"argv": ["cat", "{inputs}/{{x}}"]}},
        {"transform": "faces", "folder": "", "outputKey": "{name}-{number}"},
    ],
)
def test_good_pipeline_is_read(keys: dict[str, Any], folder: Path) -> None:
    (folder / "requirements.txt").write_text(LOCK)
    assert good(keys, folder).transform == keys["transform"]


@pytest.mark.parametrize("transform", ["command", "pictures.own:merged"])
def test_good_gather_is_read(transform: str, folder: Path) -> None:
    parameters = RUN["parameters"] if transform == "command" else {}
    one = {"transform": transform, "parameters": parameters, "folder": str(folder)}
    gathers = {**one, "from": "copies", "gather": True}
    for pattern in ("", "{run}/{name}"):
        value = {"copies": {"transform": "copy"}, "one": {**gathers, "outputKey": pattern}}
        assert read(value)["one"].gather is True


def test_secret_value_of_a_required_parameter_is_not_missing(folder: Path) -> None:
    """A settings file has it encrypted: `./pipeline pipelines` cannot read it."""
    secret = {"argv": ["cat"], "values": {"token": {"secure": "v1:abc"}}}
    assert good({"transform": "command", "parameters": secret}, folder)
    assert good({"transform": "command", "parameters": {"argv": {"secure": "v1:abc"}}}, folder)
    found = faults({"transform": "command", "parameters": {"values": secret}}, folder)
    assert [line.partition(": ")[0] for line in found] == [
        "pipelines.one.parameters.argv is missing"
    ]


def link_outside(folder: Path) -> None:
    (folder / "data").symlink_to("/etc/hostname")


def link_to_a_folder(folder: Path) -> None:
    (folder / "more").symlink_to(folder / "pictures")


def dangling_link(folder: Path) -> None:
    (folder / "data").symlink_to("nothing")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def control_character(folder: Path) -> None:
    (folder / "a\nb").write_text("")


def large_file(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(2**30)  # a hole: the disk holds nothing
    (folder / "main.py").write_text("more")


def many_files(folder: Path) -> None:
    for number in range(10_001):
        (folder / str(number)).touch()


def link_to_itself(folder: Path) -> None:
    (folder / "data").symlink_to("data")


def no_files(folder: Path) -> None:
    for name in FILES:
        (folder / name).rename(folder / f"{name.partition('.')[0]}.pyc")


@pytest.mark.parametrize(
    ("change", "thing", "remedy"),
    [
        (link_outside, "/data', which is not a readable file inside", "copy into the folder"),
        (link_to_a_folder, "/more', which is not a readable file inside", "copy into the folder"),
        (dangling_link, "/data', which is not a readable file inside", "copy into the folder"),
        (link_to_itself, "/data', which is not a readable file inside", "copy into the folder"),
        (fifo, "/pipe', which is not a readable file inside", "or remove it"),
        (control_character, "/a\\nb', which is not a readable file inside", "or remove it"),
        (large_file, "folder has more than 10,000 files or 1 GiB", "into a bucket"),
        (many_files, "folder has more than 10,000 files or 1 GiB", "into a bucket"),
        (no_files, "', which has no files", "put the transform's files into it"),
    ],
)
def test_folder_that_cannot_be_shipped_is_refused(
    change: Callable[[Path], None], thing: str, remedy: str, folder: Path
) -> None:
    change(folder)
    (sentence,) = faults(RUN, folder)
    assert sentence.startswith("pipelines.one.folder ")
    assert thing in sentence
    assert remedy in sentence


def test_hidden_and_derived_files_are_not_looked_at(folder: Path) -> None:
    for hidden in (".git", "__pycache__", "pictures/.venv"):
        (folder / hidden).mkdir()
        link_outside(folder / hidden)
    assert good(RUN, folder)
