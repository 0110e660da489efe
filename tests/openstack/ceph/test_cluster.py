"""The bring-up itself: nothing outlives the run that started it, and missing programs are named."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local import processes
from local.errors import LocalCloudError
from tests.eventually import eventually
from tests.openstack.ceph import cluster
from tests.worker.pipeline import ROOT

START = """
import signal, sys
from pathlib import Path
from tests.openstack.ceph import cluster
cluster.start(Path(sys.argv[1]))
print("up", flush=True)
signal.pause()
"""


def daemons(folder: Path) -> set[str]:
    """Which of the folder's daemons run."""
    token, found = processes.marker(folder), set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(processes.VARIABLE) == token:
                found.add(process.name())
        except psutil.Error:
            continue
    return found


def test_a_killed_run_leaves_no_daemon(tmp_path: Path) -> None:
    if sentence := cluster.missing():
        pytest.skip(sentence)
    folder = tmp_path / "ceph"
    command = [sys.executable, "-c", START, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "up\n"
            assert {"ceph-mon", "ceph-osd", "radosgw"} <= daemons(folder)
        finally:
            run.kill()
    eventually(lambda: not daemons(folder))


def test_missing_programs_are_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalCloudError, match=r"'apt-get install .* ceph-mon ceph-osd radosgw'"):
        cluster.start(tmp_path / "ceph")
