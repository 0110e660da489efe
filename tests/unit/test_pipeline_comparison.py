"""Whether a pipeline in the settings counts as changed: every key does, and no secret is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.pipelines.comparison import differs
from cli.stacks.outputs import Outputs
from clients import archive
from infra.settings.pipelines import Pipeline, definition, read

OUTPUTS = Outputs({}, "quarantine", "", "http://s3", "us-east-1", "access", "unit-secret-key")
KEYS: dict[str, Any] = {
    "transform": "command",
    "parameters": {"argv": ["cat"], "values": {"rate": 0.5, "rows": 10, "token": "hush-1"}},
    "from": ["a"],
}
CHANGES: list[dict[str, Any]] = [
    {"transform": "tool:merged", "parameters": {}},
    {"parameters": {"argv": ["tac"], "values": KEYS["parameters"]["values"]}},
    {"parameters": {"argv": ["cat"]}},
    {"parameters": {"argv": ["cat"], "values": {**KEYS["parameters"]["values"], "rate": 0.75}}},
    {"from": ["a", "b"]},
    {"gather": True},
    {"inputBucket": "in-1"},
    {"outputBucket": "out-1"},
    {"outputKey": "{run}/{name}"},
    {"keepInputs": True},
    {"limits": {"seconds": 60}},
    {"ignore": ["*.tmp"]},
    {"folder": ""},
    {"apt": ["vim-tiny"]},
    {"network": True},
    {"network": True, "allow": ["192.0.2.0/24"]},
    {"secrets": ["token"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tool.py").write_text(
        "from pathlib import Path\ndef merged(sources: list[Path], outputs: Path): ...\n"
    )
    return tmp_path


def pipeline(**keys: object) -> Pipeline:
    others = {name: {"transform": "copy"} for name in "ab"}
    return read({**others, "one": {**KEYS, **keys}})["one"]


def deployed(wanted: Pipeline) -> dict[str, Any]:
    """What the stack's outputs have, after their way through the engine."""
    sha256 = archive.describe(wanted.folder).sha256 if wanted.folder else ""
    found: dict[str, Any] = json.loads(json.dumps(definition(wanted, sha256, "unit-secret-key")))
    return found


def test_pipeline_as_deployed_is_unchanged(folder: Path) -> None:
    wanted = pipeline(folder=str(folder))
    assert not differs(wanted, deployed(wanted), OUTPUTS)
    # The engine writes whole numbers without a fraction.
    values = {**KEYS["parameters"]["values"], "rows": 10.0}
    same = pipeline(folder=str(folder), parameters={"argv": ["cat"], "values": values})
    assert not differs(same, deployed(wanted), OUTPUTS)


@pytest.mark.parametrize("change", CHANGES, ids="-".join)
def test_each_key_counts(change: dict[str, Any], folder: Path) -> None:
    before, after = pipeline(folder=str(folder)), pipeline(**{"folder": str(folder), **change})
    assert differs(after, deployed(before), OUTPUTS)
    assert differs(before, deployed(after), OUTPUTS)


def test_contents_of_the_folder_count_and_its_path_does_not(folder: Path, tmp_path: Path) -> None:
    before = deployed(pipeline(folder=str(folder)))
    link = tmp_path / ".link"
    link.symlink_to(folder)
    assert not differs(pipeline(folder=str(link)), before, OUTPUTS)
    (folder / "tool.py").write_text("")
    assert differs(pipeline(folder=str(folder)), before, OUTPUTS)


def test_secret_parameter_is_neither_compared_nor_shown() -> None:
    there = deployed(pipeline())
    assert "hush-1" not in json.dumps(there)
    secret = {"argv": ["cat"], "values": {"token": {"secure": "v1:abc"}}}
    assert not differs(pipeline(parameters=secret), there, OUTPUTS)
    secret["argv"] = ["tac"]
    assert differs(pipeline(parameters=secret), there, OUTPUTS)
    unset = deployed(pipeline(parameters={"argv": ["cat"]}))
    secret["argv"] = ["cat"]
    assert differs(pipeline(parameters=secret), unset, OUTPUTS)


def test_pipeline_of_an_older_version_is_changed() -> None:
    assert differs(pipeline(), {}, OUTPUTS)
