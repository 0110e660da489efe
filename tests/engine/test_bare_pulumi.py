"""Bare `pulumi`: preview, up and destroy without `./pipeline`, apart from `./pipeline env`.

The language host is ours, see language_host.py.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import open_folder
from tests.engine import language_host
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator

STACK = ("--stack", "lab")


@pytest.fixture(scope="module")
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator with a release of Pulumi on PATH, and the stack `lab`, which is not up yet."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        language_host.install(folder / "release")
        path = os.pathsep.join([str(folder / "release"), made.checkout.environment["PATH"]])
        made.checkout.environment["PATH"] = path
        made.checkout.pipeline("init", "lab", *LOCALLY)
        yield made


def bare(operator: CloudOperator, words: str, *, fails: bool = False, **variables: str) -> str:
    """Type `pulumi words`; all that it says."""
    answer = subprocess.run(
        ["/bin/sh", "-c", f'eval "$(./pipeline env --stack lab)" && exec pulumi {words}'],
        cwd=operator.checkout.folder,
        env={**operator.checkout.environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    printed = answer.stdout + answer.stderr
    assert bool(answer.returncode) == fails, printed
    assert "Traceback" not in printed, printed
    return printed


def test_variables_of_another_cloud_are_refused(operator: CloudOperator) -> None:
    printed = bare(
        operator, "up --yes --stack lab", fails=True, OS_REGION_NAME="x", OS_USERNAME="anna"
    )
    assert "The environment sets OS_REGION_NAME, OS_USERNAME" in printed
    assert "unset them" in printed
    assert list(operator.openstack().compute.servers()) == []


def test_bad_settings_are_reported(operator: CloudOperator) -> None:
    operator.change("lab", flavor="huge")
    printed = bare(operator, "up --yes --stack lab", fails=True)
    assert "flavor is 'huge'" in printed
    operator.change("lab", flavor="standard.tiny")


def test_clouds_yaml_of_xdg_config_home_is_handed_to_the_provider(operator: CloudOperator) -> None:
    """The SDK looks for it by HOME, the provider by the passwd entry."""
    environment = {**operator.checkout.environment}
    del environment["OS_CLIENT_CONFIG_FILE"]
    elsewhere = operator.base / "configuration" / "openstack" / "clouds.yaml"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(operator.clouds_yaml.read_text())
    environment["XDG_CONFIG_HOME"] = str(elsewhere.parent.parent)
    answer = subprocess.run(
        ["./pipeline", "env", "--stack", "lab"],
        cwd=operator.checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"export OS_CLIENT_CONFIG_FILE={elsewhere}" in answer.stdout
    others = [line for line in answer.stdout.splitlines() if "OS_CLIENT" not in line]
    forgotten = "; ".join([*others, "exec pulumi preview --stack lab"])
    answer = subprocess.run(
        ["/bin/sh", "-c", forgotten],
        cwd=operator.checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert f"run 'export OS_CLIENT_CONFIG_FILE={elsewhere}'" in answer.stdout + answer.stderr


def test_preview_then_up(operator: CloudOperator) -> None:
    assert "compute:Instance" in bare(operator, "preview --stack lab")
    bare(operator, "up --yes --skip-preview --stack lab")
    assert len(list(operator.openstack().compute.servers())) == 1


def test_pulumi_and_pipeline_share_the_stack(operator: CloudOperator) -> None:
    bare(operator, "preview --stack lab --expect-no-changes")
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_destroy_requires_unprotected_data(operator: CloudOperator) -> None:
    assert "protect" in bare(operator, "destroy --yes --stack lab", fails=True)
    cloud = operator.openstack()
    assert len(list(cloud.compute.servers())) == 1
    bare(operator, "state unprotect --all --yes --stack lab")
    bare(operator, "destroy --yes --skip-preview --stack lab")
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
    assert cloud.database.get("/instances").json()["instances"] == []
