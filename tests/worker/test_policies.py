"""A transform reaches nothing but its own files, under each policy; with positive controls.

`picture` is tested with more attempts in test_compromised_transforms.py.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.worker.test_sandbox import LANDLOCK
from worker.environment import Environment
from worker.sandbox.policy import make_pool
from worker.settings import Pipeline
from worker.transforms import Produced

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp"),
    pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock"),
]

FOLDER = Path(__file__).parent / "attempts"
SCRIPT = ["python3", "{folder}/attempts.py", "{inputs}/targets.json", "{outputs}"]
FUNCTION = Pipeline("own", "attempts:attempt", "in", "out")
COMMAND = Pipeline("own", "command", "in", "out", parameters=json.dumps({"argv": SCRIPT}))
#: How the kernel refuses: by the filter of calls, by Landlock, or as between file systems.
REFUSED = {"EPERM", "EACCES", "EXDEV"}
POLICIES = {
    "model": FUNCTION,
    "command of a function": replace(FUNCTION, secrets=("token",)),
    "command": COMMAND,
    "command with network": replace(COMMAND, network=True),
}
WITH_NETWORK = {"connect by TCP", "send by UDP"}


@dataclass
class World:
    """Files and services that a job must not reach."""

    work: Path
    targets: Path

    def run(self, pipeline: Pipeline) -> Produced:
        """Run one job of a pipeline that has all there is to have."""
        secrets = self.work.parent / "secrets"
        environment = Environment(folder=FOLDER, secrets=secrets if pipeline.secrets else None)
        pool = make_pool(pipeline, environment, self.work, 1)
        try:
            return pool.run([self.targets], ["targets.json"])
        finally:
            pool.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    for name in ("work/other", "credentials", "secrets"):
        (folder / name).mkdir(parents=True)
    (folder / "work/other/input").write_text("of another job")
    (folder / "credentials/s3-secret-key").write_text("secret")
    (folder / "secrets/token").write_text("token")
    with ExitStack() as stack:
        tcp = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        for address in (str(folder / "service"), f"\0{folder}"):
            service = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            service.bind(address)
            service.listen()
        targets = {
            "worker": os.getpid(),
            "secret": str(folder / "credentials/s3-secret-key"),
            "others": str(folder / "work/other"),
            "port": tcp.getsockname()[1],
            "service": str(folder / "service"),
            "abstract": str(folder),
        }
        source = folder / "work/upload"
        source.write_text(json.dumps(targets))
        yield World(folder / "work", source)


@pytest.fixture(scope="module")
def free(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return how the attempts end without confinement."""
    folder = tmp_path_factory.mktemp("free", numbered=False)
    (folder / "input").write_text(world.targets.read_text())
    command = [sys.executable, str(FOLDER / "attempts.py"), str(folder / "input"), str(folder)]
    # Links need the file system of the file.
    subprocess.run(command, check=True, cwd=world.work)
    (world.work / "linked").unlink()
    (world.work / "other/new").unlink()
    return dict(json.loads((folder / "records.jsonl").read_text()))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_transform_reaches_nothing_but_its_own_files(
    world: World, free: dict[str, str], policy: str
) -> None:
    assert free == dict.fromkeys(free, "done")
    pipeline = POLICIES[policy]
    made = world.run(pipeline)
    assert [path.read_text() for path, _ in made.files] == ["result"]
    (record,) = made.records
    allowed = WITH_NETWORK if pipeline.network else set()
    assert {name: record[name] for name in allowed} == dict.fromkeys(allowed, "done")
    assert {name for name, outcome in record.items() if outcome not in REFUSED} == allowed
    assert record.keys() == free.keys()
