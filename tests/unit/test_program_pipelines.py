"""What the real `__main__.py` requests for several pipelines."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from clients.errors import CloudError
from local.cloud import LocalCloud
from tests.unit.conftest import use_cloud
from tests.unit.program import Asked, Run, run_program, written
from tests.unit.stack_settings import stack_settings
from tests.unit.test_program import read_by_worker

pytestmark = pytest.mark.usefixtures("clouds_yaml")

ODD = ['"*"\\', "line\nbreak", "\x7f", "é☃"]
THREE: dict[str, dict[str, Any]] = {
    "negatives": {"transform": "negate"},
    "thumbs": {
        "transform": "thumbnail",
        "parameters": {"width": 300, "crop": True},
        "ignore": ODD,
        "limits": {"memoryMb": 512, "seconds": 30},
    },
    "inverted": {"transform": "negate", "from": "thumbs", "outputKey": "{run}/{name}"},
}
#: A width that is nowhere else in what the program requests.
WIDTH = 7391


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipelines")


@pytest.fixture(scope="module")
def runs(local_cloud: LocalCloud, folder: Path) -> tuple[Run, Run]:
    """One with the default pipeline alone, one with three."""
    with pytest.MonkeyPatch.context() as environment:
        use_cloud(environment, local_cloud)
        return (
            run_program(stack_settings(folder)),
            run_program(stack_settings(folder, pipelines=THREE)),
        )


def below(run: Run, pipeline: str) -> list[Asked]:
    """Return the resources of a pipeline's component."""
    end = f"pipeline:infra:Pipeline::{pipeline}"
    return [asked for asked in run.resources if asked.request.parent.endswith(end)]


def aliases(asked: Asked) -> set[tuple[str, str, str]]:
    """Return name, type and parent component of each alias ("" for those of the resource)."""
    specs = [alias.spec for alias in asked.request.aliases]
    kinds = {("pipeline:infra:Buckets", "buckets"), ("pipeline:infra:Pipeline", "negatives")}
    ends = {f"{kind}::{name}": name for kind, name in kinds}
    return {
        (each.name, each.type.rpartition(":")[2], parent)
        for each in specs
        for end, parent in ends.items()
        if each.parentUrn.endswith(end)
    }


def test_each_pipeline_has_its_own_buckets(runs: tuple[Run, Run]) -> None:
    _, run = runs
    for name in THREE:
        prefix = "" if name == "negatives" else f"{name}-"
        assert sorted(asked.name for asked in below(run, name)) == sorted(
            f"{prefix}{role}-{kind}"
            for role in ("input", "output")
            for kind in ("claim", "bucket", "contents")
        )
        for asked in below(run, name):
            if asked.kind == "BucketContents":
                assert asked.inputs["pipeline"] == name
    assert sorted(asked.name for asked in run.of("Pipeline")) == sorted(THREE)


def test_further_pipelines_change_nothing_else(runs: tuple[Run, Run]) -> None:
    one, three = runs
    before = {(asked.type, asked.name): asked.inputs for asked in one.resources}
    after = {(asked.type, asked.name): asked.inputs for asked in three.resources}
    further = set(after) - set(before)
    assert all(name.startswith(("thumbs", "inverted")) for _, name in further)
    assert not set(before) - set(after)
    changed = {name for kind, name in before if before[kind, name] != after[kind, name]}
    assert changed == {"vm"}
    old, new = one.one("Instance").inputs, three.one("Instance").inputs
    assert {key for key in old if old[key] != new[key]} == {"userData"}


def test_resources_of_negatives_are_those_of_older_versions(runs: tuple[Run, Run]) -> None:
    """They were children of the component of all buckets."""
    for run in runs:
        for asked in below(run, "negatives"):
            role = asked.name.partition("-")[0]
            expected = {("", "", "buckets")}
            if asked.kind == "BucketClaim":
                for parent in ("buckets", "negatives"):
                    expected.add((f"{role}-adoption", "BucketAdoption", parent))
            assert aliases(asked) == expected, asked.name
    for name in ("thumbs", "inverted"):
        for asked in below(runs[1], name):
            assert not aliases(asked), asked.name


def test_adopted_bucket_of_negatives_may_have_been_made(folder: Path) -> None:
    pipelines = {"negatives": {"transform": "negate", "outputBucket": "mine"}}
    run = run_program(stack_settings(folder, pipelines=pipelines, adoptBuckets=["mine"]))
    assert aliases(run.one("BucketAdoption")) == {
        ("", "", "buckets"),
        ("output-claim", "BucketClaim", "buckets"),
        ("output-claim", "BucketClaim", "negatives"),
    }


def test_names_of_buckets(runs: tuple[Run, Run], folder: Path) -> None:
    one, three = runs
    names = [asked.inputs["name"] for asked in three.of("Container")]
    assert len(names) == len(set(names)) == 7
    assert {asked.inputs["name"] for asked in one.of("Container")} < set(names)
    other = run_program(stack_settings(folder, pipelines=THREE), stack="unit-thumbs")
    assert set(names).isdisjoint(asked.inputs["name"] for asked in other.of("Container"))
    for name in ("thumbs", "inverted"):
        for role in ("input", "output"):
            bucket = three.outputs["pipelines"][name][f"{role}Bucket"]
            assert bucket.startswith(f"image-pipeline-unit-{name}-{role}-")
            assert len(bucket) <= 63


def test_names_that_are_cut_off_differ(folder: Path) -> None:
    pipelines = {"a" * 19 + end: {"transform": "copy"} for end in "bc"}
    runs = [
        run_program(stack_settings(folder, pipelines=pipelines), "s" * 60 + end) for end in "xy"
    ]
    names = [asked.inputs["name"] for run in runs for asked in run.of("Container")]
    pipeline_buckets = [name for name in names if "quarantine" not in name]
    assert len(pipeline_buckets) == len(set(pipeline_buckets)) == 8
    assert max(map(len, names)) <= 63


def test_the_buckets_of_pipelines_keep_versions(runs: tuple[Run, Run], folder: Path) -> None:
    """A worker that was frozen removes the very version that it stored too late."""
    for run in runs:
        versions = {each.name: each.inputs["versions"] for each in run.of("BucketContents")}
        assert {name for name, turned_on in versions.items() if not turned_on} == {
            "quarantine-contents"
        }
    pipelines = {"thumbs": {"transform": "thumbnail", "outputBucket": "theirs"}}
    run = run_program(stack_settings(folder, pipelines=pipelines, adoptBuckets=["theirs"]))
    assert {each.name for each in run.of("BucketContents")} == {
        "thumbs-input-contents",
        "quarantine-contents",
    }
    (table,) = tomllib.loads(written(run)["/etc/pipeline/worker.toml"])["pipelines"].values()
    assert table["output_adopted"] is True


def test_archive_is_made_if_inputs_are_kept(runs: tuple[Run, Run], folder: Path) -> None:
    for run in runs:
        assert not [asked for asked in run.resources if "archive" in asked.name]
        assert "archiveBucket" not in run.outputs
        text = written(run)["/etc/pipeline/worker.toml"]
        assert not tomllib.loads(text)["store"].get("archive")
    kept = {**THREE, "thumbs": {**THREE["thumbs"], "keepInputs": True}}
    run = run_program(stack_settings(folder, pipelines=kept))
    bucket = run.outputs["archiveBucket"]
    assert bucket.startswith("image-pipeline-unit-archive-")
    archive = [asked for asked in run.resources if asked.name.startswith("archive-")]
    assert sorted(asked.kind for asked in archive) == ["BucketClaim", "BucketContents", "Container"]
    assert all(asked.request.parent.endswith("Buckets::buckets") for asked in archive)
    settings = tomllib.loads(written(run)["/etc/pipeline/worker.toml"])
    assert settings["store"]["archive"] == bucket
    keeps = {name: each["keep_inputs"] for name, each in settings["pipelines"].items()}
    assert keeps == {"negatives": False, "thumbs": True, "inverted": False}


def test_machine_outlives_no_bucket(runs: tuple[Run, Run]) -> None:
    """It is deleted before any of them is purged."""
    urns = "\n".join(runs[1].one("Instance").request.dependencies)
    contents = [asked.name for asked in runs[1].of("BucketContents")]
    assert len(contents) == 7
    for name in contents:
        assert f"::{name}" in urns


def test_outputs(runs: tuple[Run, Run]) -> None:
    outputs = runs[1].outputs
    found = outputs["pipelines"]
    assert list(found) == list(THREE)
    assert {key: found["inverted"][key] for key in ("transform", "outputKey", "from")} == {
        "transform": "negate",
        "outputKey": "{run}/{name}",
        "from": ["thumbs"],
    }
    keys = {"transform", "inputBucket", "outputBucket", "outputKey", "from", "definition"}
    assert all(set(each) == keys for each in found.values())
    for role in ("inputBucket", "outputBucket"):
        assert outputs[role] == found["negatives"][role]


def test_outputs_of_a_stack_without_negatives(folder: Path) -> None:
    pipelines = {name: THREE[name] for name in ("thumbs", "inverted")}
    run = run_program(stack_settings(folder, pipelines=pipelines))
    assert run.outputs["inputBucket"] == run.outputs["pipelines"]["thumbs"]["inputBucket"]


def test_worker_reads_the_pipelines(runs: tuple[Run, Run], tmp_path: Path) -> None:
    run = runs[1]
    found = read_by_worker(run, tmp_path).pipelines
    assert list(found) == list(THREE)
    thumbs, inverted = found["thumbs"], found["inverted"]
    assert json.loads(thumbs.parameters) == THREE["thumbs"]["parameters"]
    assert thumbs.ignore == (*ODD,)
    assert (thumbs.limits.memory_mb, thumbs.limits.seconds) == (512, 30)
    assert (thumbs.sources, thumbs.readers) == ((), ("inverted",))
    assert (inverted.sources, inverted.readers) == (("thumbs",), ())
    assert inverted.output_key == "{run}/{name}"
    for name, pipeline in found.items():
        outputs = run.outputs["pipelines"][name]
        assert (pipeline.input, pipeline.output) == (
            outputs["inputBucket"],
            outputs["outputBucket"],
        )


def shows_width(value: object) -> bool:
    """Whether a value has the number, on its own: a digest may have its digits."""
    return re.search(rf"\b{WIDTH}\b", json.dumps(value)) is not None


def test_secret_parameters_are_only_in_secrets(folder: Path, tmp_path: Path) -> None:
    thumbs = {"transform": "thumbnail", "parameters": {"width": WIDTH}}
    values = stack_settings(folder, pipelines={"thumbs": thumbs})
    run = run_program(values, secret=["pipelines"])
    assert json.loads(read_by_worker(run, tmp_path).pipelines["thumbs"].parameters) == {
        "width": WIDTH
    }
    assert "userData" in run.one("Instance").secret
    for asked in run.resources:
        for name, value in asked.inputs.items():
            if shows_width(value):
                assert name in asked.secret, f"{asked.name}.{name}"
    assert not shows_width(run.outputs)


def test_limits_beyond_the_flavor_are_refused(folder: Path) -> None:
    """`standard.tiny` has 1000 MB."""
    pipelines = {
        "a": {"transform": "copy", "limits": {"memoryMb": 1001}},
        "b": {"transform": "copy", "limits": {"memoryMb": 1000}},
        "c": {"transform": "copy", "limits": {"memoryMb": "4096"}},
        "d": {"transform": "copy"},
    }
    with pytest.raises(CloudError) as refusal:
        run_program(stack_settings(folder, pipelines=pipelines))
    rest = "but flavor standard.tiny has 1000 MB: set it to less, or choose a larger flavor."
    assert str(refusal.value).splitlines() == [
        f"pipelines.a.limits.memoryMb is 1001, {rest}",
        f"pipelines.c.limits.memoryMb is 4096, {rest}",
    ]


def test_flavor_is_not_in_the_user_data(folder: Path) -> None:
    """Another flavor resizes the VM in place; other user-data would replace it."""
    flavors = ("standard.tiny", "standard.medium")
    data = [run_program(stack_settings(folder, flavor=flavor)) for flavor in flavors]
    assert [run.one("Instance").inputs["flavorName"] for run in data] == list(flavors)
    assert written(data[0]) == written(data[1])
