"""Bare `pulumi`, as somebody types it who knows Pulumi: preview, up, destroy, without `./pipeline`.

Only where things are comes from `./pipeline env`. The host of the language is ours, see there.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import open_folder
from tests.engine import language_host
from tests.engine.researcher import LOCALLY, Researcher, researcher

STACK = ("--stack", "lab")


@pytest.fixture(scope="module")
def person(pulumi: Path) -> Iterator[Researcher]:
    """Somebody with a release of Pulumi on their PATH, and the stack `lab` that is not up yet."""
    with open_folder() as folder, researcher(folder, pulumi) as made:
        language_host.install(folder / "release")
        path = os.pathsep.join([str(folder / "release"), made.checkout.environment["PATH"]])
        made.checkout.environment["PATH"] = path  # type: ignore[index]
        made.checkout.pipeline("init", "lab", *LOCALLY)
        yield made


def bare(person: Researcher, words: str, *, fails: bool = False, **variables: str) -> str:
    """Type `pulumi words`; all that it says."""
    answer = subprocess.run(
        ["/bin/sh", "-c", f'eval "$(./pipeline env --stack lab)" && exec pulumi {words}'],
        cwd=person.checkout.folder,
        env={**person.checkout.environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    told = answer.stdout + answer.stderr
    assert bool(answer.returncode) == fails, told
    assert "Traceback" not in told, told
    return told


def test_variables_of_another_cloud_are_refused(person: Researcher) -> None:
    told = bare(person, "up --yes --stack lab", fails=True, OS_REGION_NAME="x", OS_USERNAME="anna")
    assert "The environment sets OS_REGION_NAME, OS_USERNAME" in told
    assert "unset them" in told
    assert list(person.openstack().compute.servers()) == []


def test_bad_settings_are_sentences(person: Researcher) -> None:
    person.change("lab", flavor="huge")
    told = bare(person, "up --yes --stack lab", fails=True)
    assert "flavor is 'huge'" in told
    person.change("lab", flavor="standard.tiny")


def test_clouds_yaml_in_an_unusual_home_is_found(person: Researcher) -> None:
    """The SDK looks for it by HOME, the provider by the passwd entry."""
    environment = {**person.checkout.environment}
    del environment["OS_CLIENT_CONFIG_FILE"]
    elsewhere = person.base / "configuration" / "openstack" / "clouds.yaml"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(person.clouds_yaml.read_text())
    environment["XDG_CONFIG_HOME"] = str(elsewhere.parent.parent)
    answer = subprocess.run(
        ["./pipeline", "env", "--stack", "lab"],
        cwd=person.checkout.folder,
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
        cwd=person.checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert f"run 'export OS_CLIENT_CONFIG_FILE={elsewhere}'" in answer.stdout + answer.stderr


def test_preview_then_up(person: Researcher) -> None:
    assert "compute:Instance" in bare(person, "preview --stack lab")
    bare(person, "up --yes --skip-preview --stack lab")
    assert len(list(person.openstack().compute.servers())) == 1


def test_both_ways_drive_one_stack(person: Researcher) -> None:
    bare(person, "preview --stack lab --expect-no-changes")
    assert "No change." in person.checkout.pipeline("preview", *STACK).stdout


def test_destroy_stops_at_data_until_the_guard_is_lifted(person: Researcher) -> None:
    assert "protect" in bare(person, "destroy --yes --stack lab", fails=True)
    cloud = person.openstack()
    assert len(list(cloud.compute.servers())) == 1
    bare(person, "state unprotect --all --yes --stack lab")
    bare(person, "destroy --yes --skip-preview --stack lab")
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
    assert cloud.database.get("/instances").json()["instances"] == []
