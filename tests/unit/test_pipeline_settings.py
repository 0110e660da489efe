"""The map `pipelines`: what is read, and one sentence for each thing that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.archive import CHECKOUT
from infra.errors import InvalidSettings
from infra.settings.models import Settings
from infra.settings.pipelines import Pipeline, read, readers
from tests.unit.stack_settings import stack_settings
from tests.unit.test_settings import faults_of, load_stack, settings_of

COPY = {"transform": "copy"}


def faults(value: object, secrets: dict[str, bool] | None = None) -> list[str]:
    with pytest.raises(InvalidSettings) as refusal:
        read(value, secrets)
    return list(refusal.value.sentences)


def one(**keys: object) -> Pipeline:
    return read({"one": {**COPY, **keys}})["one"]


@pytest.mark.parametrize("value", [None, "", {}, {"negatives": {"transform": "negate"}}])
def test_a_stack_without_pipelines_makes_negatives(value: object) -> None:
    (found,) = read(value).items()
    name, pipeline = found
    assert (name, pipeline.transform, pipeline.sources) == ("negatives", "negate", ())
    assert (pipeline.input_bucket, pipeline.output_bucket) == ("", "")
    assert pipeline.keep_inputs is False
    assert {".DS_Store", "Thumbs.db", "desktop.ini", "._*"} == set(pipeline.ignore)


def test_every_key_is_read() -> None:
    found = read(
        {
            "a": COPY,
            "b": {
                "transform": "thumbnail",
                "parameters": {"width": 300, "crop": True},
                "from": ["a"],
                "gather": False,
                "inputBucket": "in-1",
                "outputBucket": "out-1",
                "outputKey": "{run}/{name}",
                "keepInputs": True,
                "limits": {"memoryMb": 512, "cpuSeconds": 60, "seconds": 90, "pixels": 10_000},
                "ignore": ["*.txt"],
                "folder": "",
                "apt": [],
                "network": False,
                "allow": [],
                "secrets": [],
            },
        }
    )
    b = found["b"]
    assert (b.sources, b.output_key, b.keep_inputs) == (("a",), "{run}/{name}", True)
    assert (b.input_bucket, b.output_bucket, b.ignore) == ("in-1", "out-1", ("*.txt",))
    assert b.parameters == {"width": 300, "crop": True}
    limits = b.limits
    assert (limits.memory_mb, limits.cpu_seconds, limits.seconds) == (512, 60, 90)
    assert limits.pixels == 10_000
    assert readers("a", found) == ["b"]
    assert readers("b", found) == []


def test_texts_are_taken_as_config_set_path_writes_them() -> None:
    """`pulumi config set --path` stores most values as text, and digits as a number."""
    found = one(
        limits={"memoryMb": "512", "seconds": "90"},
        keepInputs="true",
        inputBucket=2024,
        network="false",
    )
    assert (found.limits.memory_mb, found.limits.seconds) == (512, 90)
    assert (found.keep_inputs, found.input_bucket, found.network) == (True, "2024", False)
    thumbs = {"transform": "thumbnail", "parameters": {"width": "300", "crop": "true"}}
    assert read({"thumbs": thumbs, "copies": {**COPY, "from": "thumbs"}})["copies"].sources == (
        "thumbs",
    )


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"transform": "coyp"}, "transform is 'coyp'", "did you mean copy?"),
    ({"transform": "resize"}, "transform is 'resize'", ", negate, thumbnail"),
    ({"transform": ["copy"]}, "transform is", ", negate, thumbnail"),
    ({"parameters": {"width": 3}}, "parameters.width is not a parameter", "remove it"),
    ({"parameters": 3}, "parameters is 3", "a map"),
    ({"parameters": None}, "parameters is None", "a map"),
    ({"from": "two"}, "from is 'two', which is not a pipeline", "remove it"),
    ({"from": ["two"]}, "from is 'two', which is not a pipeline", "remove it"),
    ({"from": "one"}, "from leads back to one", "remove it"),
    ({"from": {"two": 1}}, "from is {'two': 1}", "a list"),
    ({"from": [None]}, "from[0] is None", "a text"),
    ({"gather": True}, "gather is true, but copy takes one file", "remove it"),
    ({"gather": "maybe"}, "gather is 'maybe'", "true or false"),
    ({"inputBucket": "Photos"}, "inputBucket is 'Photos'", "a-z"),
    ({"inputBucket": ["in-1"]}, "inputBucket is \"['in-1']\"", "a-z"),
    ({"outputBucket": "ab"}, "outputBucket is 'ab'", "3 to 63"),
    ({"outputBucket": None}, "outputBucket is 'None'", "a-z"),
    ({"outputKey": "same"}, "outputKey is 'same' without {name}", "write text with {name}"),
    ({"outputKey": "{nam}"}, "outputKey is '{nam}'", "write text with {name}"),
    ({"outputKey": ["{name}"]}, "outputKey is ['{name}']", "a text"),
    ({"keepInputs": "maybe"}, "keepInputs is 'maybe'", "true or false"),
    ({"limits": 512}, "limits is 512", "a map"),
    ({"limits": {"memoryMb": 63}}, "limits.memoryMb is 63", "at least 64"),
    ({"limits": {"memoryMb": "much"}}, "limits.memoryMb is 'much'", "a whole number"),
    ({"limits": {"memoryMb": 2_000_000}}, "limits.memoryMb is 2000000", "at most 1000000"),
    ({"limits": {"cpuSeconds": 0}}, "limits.cpuSeconds is 0", "at least 1"),
    ({"limits": {"seconds": "0"}}, "limits.seconds is '0'", "at least 1"),
    ({"limits": {"seconds": 1.5}}, "limits.seconds is 1.5", "a whole number"),
    ({"limits": {"pixels": -1}}, "limits.pixels is -1", "at least 1"),
    ({"limits": {"memory": 512}}, "limits.memory is not a known key", "did you mean memoryMb?"),
    ({"ignore": "*.txt"}, "ignore is '*.txt'", "a list"),
    ({"ignore": [""]}, "ignore[0] is ''", "a text"),
    ({"ignore": [None]}, "ignore[0] is None", "a text"),
    ({"folder": "/nonexistent"}, "folder is '/nonexistent', which is not a folder", "name one"),
    ({"folder": "x" * 300}, f"folder is '{CHECKOUT}/xxx", "name one"),
    ({"folder": "~no-such-user/x"}, f"folder is '{CHECKOUT}/~no-such-user/x', wh", "name one"),
    ({"folder": "samples"}, "folder is set, but copy runs confined", "remove it"),
    ({"apt": ["x y"]}, "apt[0] is 'x y', which is not a Debian package", "its name"),
    ({"apt": "vim"}, "apt is 'vim'", "a list"),
    ({"apt": ["vim"]}, "apt is set, but copy runs confined", "remove it"),
    ({"network": "x"}, "network is 'x'", "true or false"),
    ({"network": True}, "network is set, but copy runs confined", "remove it"),
    ({"allow": ["home"]}, "allow[0] is 'home', which is not a CIDR range", "192.0.2.7/32"),
    ({"allow": ["192.0.2.7"]}, "allow[0] is '192.0.2.7' without a mask", "192.0.2.7/32"),
    ({"allow": [7]}, "allow[0] is '7'", "192.0.2.7/32"),
    ({"allow": [None]}, "allow[0] is 'None', which is not a CIDR range", "192.0.2.7/32"),
    ({"allow": ["192.0.2.7/32"]}, "allow is set, but network is not true", "network to true"),
    ({"secrets": "key"}, "secrets is 'key'", "a list"),
    ({"secrets": ["key"]}, "secrets is set, but copy runs confined", "remove it"),
    ({"secrets": ["../key"]}, "secrets[0] is '../key', which is not a file's name", "use a-z"),
    ({"secrets": ["s3SecretKey"]}, "secrets has 's3SecretKey', which is a setting of", "another"),
    ({"outputBuket": "out-1"}, "outputBuket is not a known key", "did you mean outputBucket?"),
    (
        {"colour": 1},
        "colour is not a known key",
        "the keys are transform, parameters, from, gather",
    ),
]


@pytest.mark.parametrize(("keys", "thing", "remedy"), BAD)
def test_bad_value_is_one_sentence_with_its_path(
    keys: dict[str, Any], thing: str, remedy: str
) -> None:
    sentences = faults({"one": {**COPY, **keys}})
    matching = [line for line in sentences if line.startswith(f"pipelines.one.{thing}")]
    assert len(matching) == 1, sentences
    assert remedy in matching[0]
    assert matching[0].endswith((".", "?"))
    assert all(line.startswith("pipelines.one.") and "\n" not in line for line in sentences)


@pytest.mark.parametrize("name", ["A", "2nd", "-a", "a_b", "a" * 21, "", "ä", "a.b"])
def test_bad_name_is_refused(name: str) -> None:
    assert faults({name: COPY}) == [
        f"pipelines.{name} is not a name: use a letter first, then up to 19 of a-z, 0-9 and"
        " hyphens."
    ]
    assert list(read({"a" * 20: COPY, "a-9": COPY})) == ["a" * 20, "a-9"]


@pytest.mark.parametrize("value", [["negate"], "negate", 7, True])
def test_what_is_not_a_map_is_refused(value: object) -> None:
    assert faults(value) == [f"pipelines is {value!r}: write a map NAME: {{transform: …}}."]
    if not isinstance(value, dict):
        assert faults({"one": value}) == [f"pipelines.one is {value!r}: set it to a map."]


def test_missing_transform_is_named() -> None:
    (sentence,) = faults({"one": {}})
    assert sentence.startswith("pipelines.one.transform is missing: set it")


def test_parameters_are_checked_by_the_transform() -> None:
    parameters = {"width": 20_000, "height": "tall", "crop": "maybe", "hight": 3}
    assert faults({"thumbs": {"transform": "thumbnail", "parameters": parameters}}) == [
        "pipelines.thumbs.parameters.hight is not a parameter of this transform: did you mean"
        " height?",
        "pipelines.thumbs.parameters.width is 20000: set it to a whole number from 1 to 10000.",
        "pipelines.thumbs.parameters.height is 'tall': set it to a whole number from 1 to 10000.",
        "pipelines.thumbs.parameters.crop is 'maybe': set it to true or false.",
    ]


def test_loop_is_refused_for_each_of_its_pipelines() -> None:
    circle = {"a": {**COPY, "from": "c"}, "b": {**COPY, "from": "a"}, "c": {**COPY, "from": "b"}}
    assert faults({**circle, "d": {**COPY, "from": "a"}}) == [
        f"pipelines.{name}.from leads back to {name}: remove it from the loop." for name in "abc"
    ]


def test_source_is_named_once() -> None:
    assert faults({"a": COPY, "b": {**COPY, "from": ["a", "a"]}}) == [
        "pipelines.b.from has 'a' twice: name it once."
    ]


def test_several_faults_are_reported_at_once() -> None:
    assert [line.partition(" ")[0] for line in faults({
        "a": {"transform": "coyp", "keepInputs": 7},
        "b": {**COPY, "limits": {"seconds": 0, "pixels": 0}},
        "C": COPY,
    })] == [
        "pipelines.a.transform",
        "pipelines.a.keepInputs",
        "pipelines.b.limits.seconds",
        "pipelines.b.limits.pixels",
        "pipelines.C",
    ]  # fmt: skip
    assert [line.partition(" ")[0] for line in faults({
        "a": {**COPY, "from": "x", "parameters": {"width": 1}},
        "b": {**COPY, "gather": True},
    })] == [
        "pipelines.a.parameters.width",
        "pipelines.a.from",
        "pipelines.b.gather",
        "pipelines.b.gather",
    ]  # fmt: skip


def test_secrets_name_secret_settings_of_the_stack() -> None:
    value = {"one": {**COPY, "secrets": ["plain", "absent", "token"]}}
    named = [line for line in faults(value, {"plain": False, "token": True}) if " has " in line]
    assert named == [
        f"pipelines.one.secrets has '{name}', which is not a secret setting of this stack: set it"
        f" with `pulumi config set --secret {name}`."
        for name in ("plain", "absent")
    ]


def test_encrypted_leaves_of_a_file_are_not_checked() -> None:
    parameters = {"width": {"secure": "v1:abc"}, "height": 3}
    found = read({"thumbs": {"transform": "thumbnail", "parameters": parameters}})["thumbs"]
    assert found.parameters == {"width": "[secret]", "height": 3}
    parameters["height"] = "tall"
    assert faults({"thumbs": {"transform": "thumbnail", "parameters": parameters}}) == [
        "pipelines.thumbs.parameters.height is 'tall': set it to a whole number from 1 to 10000."
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"thumbs": {"transform": "thumbnail", "parameters": {"width": "hush-9"}}},
        {"thumbs": {"transform": "thumbnail", "parameters": "hush-9"}},
        {"thumbs": "hush-9"},
        "hush-9",
    ],
)
def test_fault_of_a_secret_value_does_not_show_it(tmp_path: Path, value: object) -> None:
    values = stack_settings(tmp_path, pipelines=value)
    for secret, shown in ((True, "[secret]"), (False, "hush-9")):
        with pytest.raises(InvalidSettings) as refusal:
            load_stack(values, {}, secret=["pipelines"] if secret else [])
        (sentence,) = refusal.value.sentences
        assert shown in sentence
        assert ("hush-9" in sentence) is not secret
        assert "set it to" in sentence or "write a map" in sentence


def test_buckets_of_two_pipelines_differ(tmp_path: Path) -> None:
    value = {
        "a": {**COPY, "outputBucket": "one-1"},
        "b": {**COPY, "inputBucket": "one-1"},
        "c": {**COPY, "inputBucket": "two-2", "outputBucket": "two-2"},
    }
    rest = "give each its own bucket, or results would be processed again."
    assert faults(value) == [
        f"pipelines.b.inputBucket and pipelines.a.outputBucket are both 'one-1': {rest}",
        f"pipelines.c.outputBucket and pipelines.c.inputBucket are both 'two-2': {rest}",
    ]
    quarantine = {"a": {**COPY, "inputBucket": "bad-1"}}
    values = stack_settings(tmp_path, pipelines=quarantine, quarantineBucket="bad-1")
    assert faults_of(values) == [
        f"pipelines.a.inputBucket and quarantineBucket are both 'bad-1': {rest}"
    ]


def test_adopted_buckets_are_buckets_of_the_stack(tmp_path: Path) -> None:
    value = {"a": {**COPY, "inputBucket": "in-1"}, "b": {**COPY, "outputBucket": "out-2"}}
    good = {"pipelines": value, "quarantineBucket": "bad-1"}
    names = ["in-1", "out-2", "bad-1"]
    assert settings_of(stack_settings(tmp_path, **good, adoptBuckets=names)).store.adopted == (
        *names,
    )
    (sentence,) = faults_of(stack_settings(tmp_path, **good, adoptBuckets=["in-1", "photos"]))
    assert sentence.startswith("adoptBuckets has 'photos', which is not a bucket of this stack")
    assert "inputBucket or outputBucket of a pipeline, or quarantineBucket" in sentence


def test_existing_store_needs_all_names(tmp_path: Path) -> None:
    values = stack_settings(
        tmp_path,
        objectStore="existing",
        objectStoreEndpoint="https://s3.example.org",
        s3AccessKey="a",
        s3SecretKey="b",
        pipelines={"a": {**COPY, "inputBucket": "in-1"}, "b": COPY},
    )
    assert [line.partition(" is missing")[0] for line in faults_of(values)] == [
        "quarantineBucket",
        "pipelines.a.outputBucket",
        "pipelines.b.inputBucket",
        "pipelines.b.outputBucket",
    ]


def test_data_of_a_pipeline_that_is_kept_are_not_deleted(tmp_path: Path) -> None:
    value = {"pipelines": {"a": COPY}, "deletePipelineData": ["b", "a"]}
    assert faults_of(stack_settings(tmp_path, **value)) == [
        "deletePipelineData has 'a', which is a pipeline of this stack: remove it from one of the"
        " two."
    ]
    settings_of(stack_settings(tmp_path, pipelines={"a": COPY}, deletePipelineData=["b"]))


@pytest.mark.parametrize("value", ["b", [7], {"b": True}])
def test_list_of_deleted_pipelines_is_a_list(tmp_path: Path, value: object) -> None:
    (sentence,) = faults_of(stack_settings(tmp_path, deletePipelineData=value))
    assert sentence.startswith("deletePipelineData is ")
    assert "not a list of texts" in sentence


FLAT = [
    (
        {"transform": "negate"},
        "transform: keys of a pipeline now. Remove it",
        {"transform": "negate"},
    ),
    (
        {"outputBucket": "out-1", "inputBucket": "in-1"},
        "inputBucket, outputBucket: keys of a pipeline now. Remove them",
        {"transform": "negate", "inputBucket": "in-1", "outputBucket": "out-1"},
    ),
    (
        {"transform": "copy", "inputBucket": ""},
        "transform, inputBucket: keys of a pipeline now. Remove them",
        {"transform": "copy"},
    ),
    (
        {"outputBucket": "007"},
        "outputBucket: keys of a pipeline now. Remove it",
        {"transform": "negate", "outputBucket": "007"},
    ),
]


@pytest.mark.parametrize(("flat", "thing", "entry"), FLAT)
def test_settings_of_older_versions_are_refused_with_the_line_to_write(
    tmp_path: Path, flat: dict[str, str], thing: str, entry: dict[str, str]
) -> None:
    good = stack_settings(tmp_path)
    with pytest.raises(InvalidSettings) as refusal:
        load_stack({**good, **flat}, {})
    (sentence,) = refusal.value.sentences
    assert sentence.startswith(thing)
    settings = load_stack({**good, "pipelines": json.dumps(written_as(sentence))}, {})
    pipeline = settings.pipelines["negatives"]
    assert written_as(sentence) == {"negatives": entry}
    assert (pipeline.transform, pipeline.input_bucket, pipeline.output_bucket) == (
        entry["transform"],
        entry.get("inputBucket", ""),
        entry.get("outputBucket", ""),
    )


def written_as(sentence: str) -> dict[str, Any]:
    """What a refusal says to write instead, read as YAML."""
    line = sentence.split("`")[1]
    key, _, _ = line.partition(": ")
    assert key == "image-pipeline:pipelines"
    found: dict[str, Any] = yaml.safe_load(line)[key]
    return found


def test_default_names_of_buckets(tmp_path: Path) -> None:
    """Of `negatives`, as older versions named them."""

    def buckets(**more: object) -> dict[tuple[str, str], str]:
        settings: Settings = settings_of(stack_settings(tmp_path, **more))
        return settings.buckets("0123")

    before = buckets()
    assert set(before) == {("", "quarantine"), ("negatives", "input"), ("negatives", "output")}
    value = {
        "negatives": {"transform": "negate"},
        "b": {**COPY, "keepInputs": True, "inputBucket": "in-1"},
    }
    after = buckets(pipelines=value)
    assert {key: after[key] for key in before} == before
    assert set(after) - set(before) == {("", "archive"), ("b", "input"), ("b", "output")}
    assert after["b", "input"] == "in-1"
    assert after["b", "output"].startswith("image-pipeline-unit-b-output-")
    assert len(set(after.values())) == len(after)
