"""Processes that outlive their starter are found again, whatever was recorded."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local import processes
from tests.eventually import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = f"import subprocess; subprocess.run({SLEEP!r})"
STARTER = """
import sys
from pathlib import Path
from local import processes
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
print(processes.start(Path(sys.argv[1]), "it", sleep))
"""


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_process_outlives_its_starter(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(processes.CHECKOUT)},
    )
    pid = int(done.stdout)
    assert processes.is_running(tmp_path, "it")
    assert os.getsid(pid) == pid
    processes.end(tmp_path)
    assert not alive(pid)


@pytest.mark.parametrize("lost", ["it.pid", None])
def test_end_finds_a_process_with_and_without_its_id_file(tmp_path: Path, lost: str | None) -> None:
    pid = processes.start(tmp_path, "it", SLEEP)
    if lost:
        (tmp_path / lost).unlink()
    processes.end(tmp_path)
    assert not alive(pid)


def test_end_also_ends_children(tmp_path: Path) -> None:
    parent = psutil.Process(processes.start(tmp_path, "it", [sys.executable, "-c", PARENT]))
    eventually(parent.children)
    family = [parent, *parent.children()]
    processes.end(tmp_path)
    assert not [one.pid for one in family if alive(one.pid)]


def test_end_spares_children_of_another_folder(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
    nested = STARTER + "import time; time.sleep(600)"
    pid = processes.start(mine, "it", [sys.executable, "-c", nested, str(other)])
    eventually(lambda: processes.is_running(other, "it"))
    processes.end(mine)
    assert not alive(pid)
    assert processes.is_running(other, "it")
    processes.end(other)
    assert not processes.is_running(other, "it")


def test_recycled_process_id_is_not_taken_for_ours(tmp_path: Path) -> None:
    processes.marker(tmp_path)
    (tmp_path / "it.pid").write_text(str(os.getpid()), encoding="utf-8")
    assert not processes.is_running(tmp_path, "it")
    processes.kill(tmp_path, "it")
    processes.end(tmp_path)  # does not end the test's own process


def test_process_that_ignores_the_first_signal_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path('deaf').touch(); time.sleep(600)"
    )
    pid = processes.start(tmp_path, "it", [sys.executable, "-c", stubborn])
    eventually((tmp_path / "deaf").exists)
    processes.end(tmp_path, seconds=0.2)
    assert not alive(pid)
