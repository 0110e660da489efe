"""What the real `__main__.py` requests for pipelines with folders, secrets and gather."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from local.cloud import LocalCloud
from tests.unit.conftest import use_cloud
from tests.unit.program import Run, run_program, written
from tests.unit.stack_settings import stack_settings
from tests.unit.test_program import read_by_worker

pytestmark = pytest.mark.usefixtures("clouds_yaml")

#: The value of a secret setting, and content of a file, which are nowhere else.
TOKEN, CONTENT = "hush-81723", "jar-55128"
ARGV = ["java", "{folder}/lib/train.jar", "{inputs}", "{outputs}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folders")


@pytest.fixture(scope="module")
def shipped(folder: Path) -> Path:
    """A folder of a user's."""
    made = folder / "training"
    (made / "lib").mkdir(parents=True)
    (made / "lib/train.jar").write_text(CONTENT)
    return made


def pipelines(shipped: Path) -> dict[str, dict[str, Any]]:
    command = {
        "transform": "command",
        "parameters": {"argv": ARGV},
        "folder": str(shipped),
        "apt": ["openjdk-17-jre-headless"],
        "limits": {"seconds": 900},
    }
    return {
        "negatives": {"transform": "negate"},
        "splits": {
            **command,
            "network": True,
            "allow": ["192.0.2.0/24"],
            "secrets": ["token"],
            "outputKey": "{run}/{name}.{number}",
        },
        "model": {**command, "from": "splits", "gather": True, "secrets": ["token", "other"]},
    }


def run(folder: Path, wanted: dict[str, Any]) -> Run:
    values = stack_settings(folder, pipelines=wanted)
    return run_program({**values, "token": TOKEN, "other": "x"}, secret=["token", "other"])


@pytest.fixture(scope="module")
def runs(local_cloud: LocalCloud, folder: Path, shipped: Path) -> tuple[Run, Run]:
    """One with `negatives` alone, one with three pipelines."""
    with pytest.MonkeyPatch.context() as environment:
        use_cloud(environment, local_cloud)
        return run_program(stack_settings(folder)), run(folder, pipelines(shipped))


def test_folder_is_one_object_that_the_machine_waits_for(runs: tuple[Run, Run]) -> None:
    """Both pipelines have it; the state has its hash alone."""
    without, three = runs
    assert without.of("FolderArchive") == []
    asked = three.one("FolderArchive")
    assert asked.inputs["bucket"] == three.outputs["quarantineBucket"]
    assert asked.inputs["key"] == f".image-pipeline/folder-{asked.inputs['sha256'][:16]}.zip"
    assert asked.name in "\n".join(three.one("Instance").request.dependencies)
    assert "quarantine-contents" in "\n".join(asked.request.dependencies)
    assert {"access_key", "secret_key"} <= asked.secret
    assert all(CONTENT not in json.dumps(each.inputs) for each in three.resources)
    further = {(each.kind, each.name) for each in three.resources} - {
        (each.kind, each.name) for each in without.resources
    }
    assert {kind for kind, _ in further} == {
        *("Pipeline", "BucketClaim", "Container", "BucketContents", "FolderArchive")
    }


def test_worker_reads_folder_programs_network_and_secrets(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    three = runs[1]
    found = read_by_worker(three, tmp_path).pipelines
    splits, model, negatives = found["splits"], found["model"], found["negatives"]
    archive = three.one("FolderArchive").inputs
    for each in (splits, model):
        assert (each.folder.key, each.folder.sha256) == (archive["key"], archive["sha256"])
        assert each.apt == ("openjdk-17-jre-headless",)
        assert json.loads(each.parameters) == {"argv": ARGV}
        assert each.limits.seconds == 900
    assert (splits.network, splits.allow, splits.secrets) == (True, ("192.0.2.0/24",), ("token",))
    assert (model.network, model.allow, model.secrets) == (False, (), ("token", "other"))
    assert (splits.gather, model.gather) == (False, True)
    assert (splits.output_key, model.output_key) == (
        "{run}/{name}.{number}",
        "{run}/{name}.{number}.{ext}",
    )
    assert (negatives.folder.key, negatives.apt, negatives.secrets) == ("", (), ())


def test_secrets_are_files_that_only_user_data_has(runs: tuple[Run, Run]) -> None:
    without, three = runs
    files = written(three)
    assert {path: files[path] for path in files if path.startswith("/etc/pipeline/secrets/")} == {
        "/etc/pipeline/secrets/token": TOKEN,
        "/etc/pipeline/secrets/other": "x",
    }
    assert not [path for path in written(without) if "/secrets/" in path]
    assert TOKEN not in files["/etc/pipeline/worker.toml"]
    assert "userData" in three.one("Instance").secret
    assert TOKEN not in json.dumps(three.outputs)
    for asked in three.resources:
        assert TOKEN not in json.dumps({k: v for k, v in asked.inputs.items() if k != "userData"})


def test_changed_folder_replaces_the_machine_alone(
    runs: tuple[Run, Run], folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "training"
    (other / "lib").mkdir(parents=True)
    (other / "lib/train.jar").write_text(f"{CONTENT}!")
    before, after = runs[1], run(folder, pipelines(other))
    old, new = ({(e.kind, e.name): e.inputs for e in each.resources} for each in (before, after))
    assert {kind for kind, _ in set(old) ^ set(new)} == {"FolderArchive"}
    assert {name for kind, name in set(old) & set(new) if old[kind, name] != new[kind, name]} == {
        "vm"
    }


def test_folder_elsewhere_with_the_same_files_changes_nothing(
    runs: tuple[Run, Run], folder: Path, shipped: Path, tmp_path: Path
) -> None:
    """Another operator has the checkout in another place."""
    (tmp_path / "training").symlink_to(shipped)
    after = run(folder, pipelines(tmp_path / "training"))
    archives = [each.one("FolderArchive") for each in (runs[1], after)]
    assert archives[0].name == archives[1].name
    assert [each.inputs["sha256"] for each in archives] == [archives[0].inputs["sha256"]] * 2
    assert written(runs[1]) == written(after)


def test_limits_are_those_of_the_transform_unless_set(folder: Path) -> None:
    wanted = {
        "copies": {"transform": "copy", "limits": {"memoryMb": 300}},
        "answers": {
            "transform": "answers",
            "parameters": {
                "model": "hub://org/name@v1",
                "modelSha256": "0" * 64,
                "tokenizerSha256": "0" * 64,
            },
        },
    }
    made = run_program(stack_settings(folder, pipelines=wanted))
    tables = tomllib.loads(written(made)["/etc/pipeline/worker.toml"])["pipelines"]
    assert tables["copies"]["limits"] == {"memory_mb": 300, "cpu_seconds": 120, "seconds": 120}
    assert tables["answers"]["limits"] == {
        "memory_mb": 1024,
        "cpu_seconds": 7200,
        "seconds": 3600,
    }
