"""The outputs of a deployed stack, and the choice of a pipeline among them."""

from typing import Any

import pytest

from cli.errors import CommandError
from cli.stacks import outputs
from cli.stacks.outputs import Pipeline

OLD = {
    "inputBucket": "in",
    "outputBucket": "out",
    "quarantineBucket": "bad",
    "s3Endpoint": "https://store",
    "s3Region": "",
    "s3AccessKey": "key",
    "s3SecretKey": "secret",
}
NEW: dict[str, Any] = {
    **OLD,
    "archiveBucket": "kept",
    "pipelines": {
        "negatives": {
            "transform": "negate",
            "inputBucket": "in",
            "outputBucket": "out",
            "outputKey": "",
            "from": [],
        },
        "small": {
            "transform": "thumbnail",
            "inputBucket": "small-in",
            "outputBucket": "small-out",
            "outputKey": "{name}.s.{ext}",
            "from": ["negatives"],
        },
    },
}


def test_stack_of_an_older_version_has_one_pipeline() -> None:
    found = outputs.read(OLD)
    assert found.pipeline(None) == Pipeline("negatives", "negate", "in", "out")
    assert found.pipeline("negatives") == found.pipeline(None)
    assert found.buckets == ["in", "out", "bad"]


def test_pipelines_are_chosen_by_name() -> None:
    found = outputs.read(NEW)
    assert found.pipeline("small") == Pipeline(
        "small", "thumbnail", "small-in", "small-out", "{name}.s.{ext}", ("negatives",)
    )
    assert found.buckets == ["in", "out", "small-in", "small-out", "bad", "kept"]


def test_unknown_pipeline_is_one_sentence_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"no pipeline 'smal': choose one of negatives, small;"):
        outputs.read(NEW).pipeline("smal")


def test_pipeline_must_be_named_where_there_are_several() -> None:
    with pytest.raises(CommandError, match=r"\(negatives, small\): name one with --pipeline NAME"):
        outputs.read(NEW).pipeline(None)


def test_stack_whose_up_failed_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match=r"no output 'quarantineBucket': .*run it again"):
        outputs.read({name: value for name, value in OLD.items() if name != "quarantineBucket"})


def test_local_stack_has_addresses_that_exist() -> None:
    given = {"mqttAddress": "127.0.175.123:8883", "floatingIp": "127.0.175.123"}
    ports = {"web": 5001, "broker": 5002, "cameras": 5003}
    real = outputs.on_loopback({**given, "uploadUrl": "https://127.0.175.123/upload"}, ports)
    assert real["mqttAddress"] == "127.0.0.1:5003"
    assert real["uploadUrl"] == "http://127.0.0.1:5001/upload"
    assert outputs.on_loopback(given, ports).keys() == given.keys()
