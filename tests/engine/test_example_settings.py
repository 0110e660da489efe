"""The shipped example for a real cloud plans every resource, as a stack of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.cloud import LocalCloud
from tests.checkout import PROJECT
from tests.eventually import patience

PLANNER = Path(__file__).parent / "planner.py"


@dataclass(frozen=True)
class Planner:
    """Previews the stack `devplan` in a process of its own, against a local cloud."""

    folder: Path
    environment: dict[str, str]

    def plan(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Preview with these settings over those of `Pulumi.dev.yaml`."""
        return subprocess.run(
            [sys.executable, str(PLANNER), str(self.folder), json.dumps(settings)],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120 * patience(),
        )


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory, pulumi: Path) -> Iterator[Planner]:
    """A cloud and a `PULUMI_HOME` of the test's own."""
    folder = tmp_path_factory.mktemp("plan")
    cloud = LocalCloud(folder / "cloud")
    cloud.start()
    cloud.install_plugin(folder / "pulumi")
    key = folder / "home" / ".ssh" / "id_ed25519.pub"
    key.parent.mkdir(parents=True)
    key.write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJIaRAmZKUJcWnMu0oVVt0xvtuHP0WxzqnLkWnSIvUvQ t\n"
    )
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("OS_")}
    yield Planner(
        folder,
        {
            **inherited,
            "HOME": str(folder / "home"),
            "PATH": os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(PROJECT),
            "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml),
        },
    )
    cloud.stop()


EXPECTED = {
    "Container": 3,
    "Ec2CredentialV3": 1,
    "Keypair": 1,
    "SecGroup": 1,
    "FloatingIp": 1,
    "Port": 1,
    "FloatingIpAssociate": 1,
    "Instance": 1,
    "BucketClaim": 3,
    "BucketContents": 3,
    "WorkerArchive": 1,
    "TroveInstance": 1,
    "TroveReady": 1,
}


def test_example_plans_every_resource(planner: Planner) -> None:
    answer = planner.plan()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    kinds = Counter(json.loads(answer.stdout.splitlines()[-1]))
    assert {kind: kinds[kind] for kind in EXPECTED} == EXPECTED
    assert kinds["SecGroupRule"] >= 1


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("network", "nowhere", "network is 'nowhere'"),
        ("databaseVersion", "3", "databaseVersion is '3'"),
    ],
)
def test_preview_fails_for_what_the_cloud_lacks(
    planner: Planner, setting: str, value: str, expected: str
) -> None:
    """One of each cloud: the program asks as `up` does first, in test_settings_errors.py."""
    answer = planner.plan(**{setting: value})
    assert answer.returncode != 0
    assert expected in answer.stderr
    assert "Traceback" not in answer.stderr
