"""The processes of transforms: what they have, what is forbidden to them, and how they end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.worker.pipeline import ROOT, Pipeline
from tests.worker.slow import children, slow_photo, transforming_worker
from worker.errors import TransformCrashed
from worker.sandbox.pool import Pool
from worker.settings import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_child_has_no_secrets_and_limited_resources(versioned: Pipeline) -> None:
    versioned.environment = {"AWS_SECRET_ACCESS_KEY": "in the worker's environment"}
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (_, child):
        proc = Path(f"/proc/{child.pid}")
        environment = {
            line.partition(b"=")[0] for line in (proc / "environ").read_bytes().split(b"\0") if line
        }
        assert environment <= {b"PYTHONPATH", b"LC_ALL"}
        status = dict(
            line.split(":\t", 1)
            for line in (proc / "status").read_text().splitlines()
            if ":\t" in line
        )
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert (proc / "oom_score_adj").read_text().strip() == "1000"
        limits = (proc / "limits").read_text()
        for name, value in {
            "Max address space": str(1024 * 2**20),
            "Max open files": "64",
            "Max core file size": "0",
        }.items():
            (line,) = [line for line in limits.splitlines() if line.startswith(name)]
            assert line.removeprefix(name).split()[:2] == [value, value]
        opened = [str(path.readlink()) for path in (proc / "fd").iterdir()]
        assert not [name for name in opened if name.startswith("socket:")]
        secrets = [versioned.password, versioned.store.secret_key, versioned.admin_password]
        assert not [secret for secret in secrets if secret in " ".join(child.cmdline())]


CONFINE = (
    "import os; from worker.sandbox.confinement import confine; left = confine(2**29, os.getppid())"
)
# landlock_create_ruleset(2) returns its version.
LANDLOCK = sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
ENFORCED = "not left" if LANDLOCK else "all('Landlock' in one for one in left)"


@pytest.mark.parametrize(
    "action",
    [
        "import socket; socket.socket()",
        "import socket; socket.socketpair()",
        "import os; os.execv('/bin/true', ['true'])",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.kill(os.getppid(), 0)",
        "import ctypes\nif ctypes.CDLL(None).ptrace(0, 0, 0, 0): raise PermissionError",
        "open('large', 'wb').truncate(6 * 1024**3)",
        "bytearray(600 * 2**20)",
    ],
)
def test_forbidden_actions(tmp_path: Path, action: str) -> None:
    assert_forbidden(tmp_path, action)


@pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
@pytest.mark.parametrize(
    "action",
    [
        "open('../s3-secret-key').read()",
        "import os; open(f'/proc/{os.getppid()}/environ').read()",
        "import os; os.symlink('../s3-secret-key', 'result')",
        "open('../result', 'w')",
    ],
    ids=["read", "memory", "link", "write"],
)
def test_other_files_are_forbidden(tmp_path: Path, action: str) -> None:
    assert_forbidden(tmp_path, action)


def assert_forbidden(tmp_path: Path, action: str) -> None:
    """Check that an action works, and that it fails in a confined process."""
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "s3-secret-key").write_text("secret")
    for prelude, works in (("pass", True), (f"{CONFINE}\nassert {ENFORCED}, left", False)):
        done = subprocess.run(
            [sys.executable, "-c", f"{prelude}\n{action}"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )
        assert (done.returncode == 0) == works, done.stderr
        if not works:
            assert any(
                word in done.stderr for word in ("PermissionError", "MemoryError", "too large")
            ), done.stderr
        (folder / "result").unlink(missing_ok=True)


def test_children_die_with_the_worker(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (worker, _):
        family = children(worker)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not any(child.is_running() for child in family), seconds=10)
    assert versioned.left() == ["slow.webp"]


def test_a_signal_ends_the_pass_within_seconds(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (worker, _):
        family, start = children(worker), time.monotonic()
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: '"event": "pass"' in (versioned.folder / "pass.log").read_text(), 8)
        eventually(lambda: not any(child.is_running() for child in family), 8)
        assert time.monotonic() - start < 8
    assert versioned.left() == ["slow.webp"]
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []
    versioned.drain()
    assert [(row["outcome"], row["reason"]) for row in versioned.rows()] == [("done", None)]


def test_one_pass_at_a_time(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp"):
        done = versioned.drain(1)
    assert "Another pass is running" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("answer", ["x" * 2**19, "nonsense\\n", "[]\\n", "{}\\n", "{}\\n{}\\n"])
def test_invalid_responses_of_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """A file may compromise the decoder: its process is killed, and the next file gets another."""
    taken_over = tmp_path / "python"
    taken_over.write_text(
        f"#!{sys.executable}\nimport sys\nsys.stdin.readline()\n"
        "print('{\"ready\": []}', flush=True)\n"
        f"for _ in sys.stdin:\n    print('{answer}', end='', flush=True)\n"
    )
    taken_over.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(taken_over))
    (tmp_path / "source").write_bytes(b"picture")
    (tmp_path / "outputs").mkdir()
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1)
    try:
        for _ in range(2):
            with pytest.raises(TransformCrashed, match="invalid response"):
                pool.run(tmp_path / "source", "source", tmp_path / "outputs")
            assert (tmp_path / "source").read_bytes() == b"picture"
    finally:
        pool.close()
