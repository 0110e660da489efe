"""The processes of transforms: what they have, what is forbidden to them, and how they end."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

import pytest

from tests.eventually import eventually
from tests.worker.pipeline import ROOT, Pipeline
from tests.worker.slow import children, slow_photo, transforming_worker
from worker.environment import Environment
from worker.errors import ServiceUnavailable, TransformCrashed
from worker.sandbox.job_memory import MAX_BYTES
from worker.sandbox.pool import Pool
from worker.settings import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_child_has_no_secrets_and_limited_resources(versioned: Pipeline) -> None:
    versioned.environment = {"AWS_SECRET_ACCESS_KEY": "in the worker's environment"}
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (_, child):
        child.suspend()
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
        "import os; os.truncate('../s3-secret-key', 0)",
        "import os; os.mkdir('result')",
        "import os; os.mkfifo('result')",
        "import os; os.rename('../s3-secret-key', 'result')",
        "import os; os.unlink('../s3-secret-key')",
    ],
    ids=["read", "memory", "link", "write", "truncate", "folder", "pipe", "rename", "remove"],
)
def test_other_files_are_forbidden(tmp_path: Path, action: str) -> None:
    assert_forbidden(tmp_path, action)


def assert_forbidden(tmp_path: Path, action: str) -> None:
    """Check that an action works, and that it fails in a confined process."""
    folder = tmp_path / "work"
    folder.mkdir()
    for prelude, works in (("pass", True), (f"{CONFINE}\nassert {ENFORCED}, left", False)):
        (tmp_path / "s3-secret-key").write_text("secret")
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
        shutil.rmtree(folder)
        folder.mkdir()


def test_children_die_with_the_worker(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (worker, _):
        family = children(worker)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not any(child.is_running() for child in family))
    assert versioned.left() == ["slow.webp"]


@pytest.mark.parametrize("said", ["", '{"parameters": {}'])
def test_a_child_whose_worker_died_before_it_had_started_ends_silently(said: str) -> None:
    command = [sys.executable, "-m", "worker.sandbox.child", "negate", "512", "9", "1", "/in"]
    done = subprocess.run(
        command, check=False, input=said, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_signal_ends_the_pass_before_its_transforms(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (worker, transform):
        transform.suspend()  # before it ends
        family = children(worker)
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: '"event": "pass"' in (versioned.folder / "pass.log").read_text())
        eventually(lambda: not any(child.is_running() for child in family))
    assert versioned.left() == ["slow.webp"]
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []
    versioned.drain()
    assert [(row["outcome"], row["reason"]) for row in versioned.rows()] == [("done", None)]


def test_one_pass_at_a_time(versioned: Pipeline) -> None:
    versioned.put("slow.webp", slow_photo())
    with transforming_worker(versioned, "slow.webp") as (_, child):
        child.suspend()
        done = versioned.drain(1)
    assert "Another pass is running" in done.stderr
    assert done.stderr.count("\n") == 1


def fake_child(folder: Path, action: str, answer: str) -> Environment:
    """Return an interpreter whose process does something for each file, then answers."""
    taken_over = folder / "python"
    taken_over.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "memory = json.loads(sys.stdin.readline()).get('memory')\n"
        "print('{\"ready\": []}', flush=True)\n"
        f"for _ in sys.stdin:\n    {action}\n    print({answer}, end='', flush=True)\n"
    )
    taken_over.chmod(0o755)
    return Environment(python=taken_over)


def assert_crashes(folder: Path, environment: Environment) -> None:
    """Check that a pool ends each process, that inputs stay, and that no result is left."""
    (folder / "jobs").mkdir()
    source = folder / "jobs" / "source"
    source.write_bytes(b"picture")
    pool = Pool("negate", "{}", Limits(seconds=60), folder, 1, environment=environment)
    try:
        for _ in range(2):
            with pytest.raises(TransformCrashed, match="invalid response"):
                pool.run([source], ["source"])
            assert source.read_bytes() == b"picture"
            beside = [path for path in source.parent.iterdir() if path.is_file()]
            assert all(path.read_bytes() != SECRET for path in beside)
    finally:
        pool.close()


@pytest.mark.parametrize(
    "answer", ["x" * 2**22, "nonsense\n", "[]\n", "{}\n", "{}\n{}\n", "[" * 200_000 + "\n"]
)
def test_invalid_responses_of_a_child(tmp_path: Path, answer: str) -> None:
    """A file may compromise the decoder: its process is killed, and the next file gets another."""
    environment = fake_child(tmp_path, "pass", repr(answer))
    assert_crashes(tmp_path, environment)


SECRET = b"another job's"
WRITE = "open('a', 'w').write('result')"


def result(files: object = (("a", "image/png"),), records: object = 0, notes: object = ()) -> str:
    """Return a response as a Python expression."""
    return f"json.dumps({ {'files': files, 'records': records, 'notes': notes}!r}) + '\\n'"


def records(*lines: str) -> str:
    """Return an action that writes a result and records, given as Python expressions."""
    return f"{WRITE}; open('records.jsonl', 'w').write({'+'.join(lines)})"


MEMORY = "os.pwrite(memory, b'result', 0)"


def in_memory(contents: object, files: object = ()) -> str:
    """Return a response whose results are in memory, as a Python expression."""
    found = {"files": files, "records": 0, "notes": (), "contents": contents}
    return f"json.dumps({found!r}) + '\\n'"


@pytest.mark.parametrize(
    "contents",
    [
        [[-1, "image/png"]],
        [[MAX_BYTES + 1, "image/png"]],
        [[MAX_BYTES, "image/png"], [1, "image/png"]],
        [[2**70, "image/png"]],
        [[1.5, "image/png"]],
        [["6", "image/png"]],
        [[6, "image"]],
        [[6, "image/png\r\nX-Header: 1"]],
        [[6]],
        [[6, "image/png", 1]],
        [6],
        6,
        {"6": "image/png"},
        [[0, "image/png"]] * 1001,
    ],
)
def test_invalid_results_of_a_child_in_memory(tmp_path: Path, contents: object) -> None:
    assert_crashes(tmp_path, fake_child(tmp_path, MEMORY, in_memory(contents)))


def test_valid_results_of_a_child_in_memory(tmp_path: Path) -> None:
    """They come after those in files."""
    answer = in_memory([[2, "a/b"], [4, "c/d"]], [["a", "image/png"]])
    environment = fake_child(tmp_path, f"{WRITE}; {MEMORY}", answer)
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        produced = pool.run([tmp_path / "source"], ["source"], b"picture")
    finally:
        pool.close()
    (path, _), *others = produced.results
    assert isinstance(path, Path)
    assert (path.read_text(), others) == ("result", [(b"re", "a/b"), (b"sult", "c/d")])


#: Changes what the parent shares, then responds with what came of it.
ATTEMPTS = f"""
import ctypes, errno, struct
ctypes.CDLL(None).capset(struct.pack('Ii', 0x20080522, 0), bytes(24))  # as confinement.py does
def outcome(attempt):
    try:
        return str(attempt())
    except OSError as error:
        return errno.errorcode[error.errno]
def attempts(path, memory):
    return [
        outcome(lambda: os.open(path, os.O_WRONLY)),
        outcome(lambda: os.open(path, os.O_RDONLY | os.O_TRUNC)),
        outcome(lambda: os.ftruncate(int(path.rpartition("/")[2]), 0)),
        outcome(lambda: os.ftruncate(memory, 0)),
        outcome(lambda: os.ftruncate(memory, {MAX_BYTES} + 1)),
        outcome(lambda: os.pwrite(memory, b"x", {MAX_BYTES})),
    ]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs memfd_create")
def test_a_child_can_neither_change_its_input_nor_take_more_memory(tmp_path: Path) -> None:
    """Their pages are within none of its limits."""
    action = f"exec({ATTEMPTS!r}); path = json.loads(_)['paths'][0]"
    answer = "json.dumps({'files': [], 'records': 0, 'notes': attempts(path, memory)}) + '\\n'"
    environment = fake_child(tmp_path, action, answer)
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        notes = pool.run([tmp_path / "source"], ["source"], b"picture").notes
    finally:
        pool.close()
    assert notes == ["EACCES", "EACCES", "EINVAL", "EPERM", "EPERM", "EPERM"]


@pytest.mark.parametrize("available", [1, 2, 3])
def test_a_child_that_cannot_start_leaves_no_descriptor_open(
    tmp_path: Path, available: int
) -> None:
    """Its memory takes three descriptors, its pipes more."""
    pool, limits = Pool("copy", "{}", Limits(), tmp_path, 1), getrlimit(RLIMIT_NOFILE)
    free = unused_descriptors()
    setrlimit(RLIMIT_NOFILE, (free[available - 1] + 1, limits[1]))
    try:
        with pytest.raises(ServiceUnavailable, match="cannot be started: Too many open files"):
            pool.run([tmp_path / "source"], ["a.txt"], b"text")
    finally:
        setrlimit(RLIMIT_NOFILE, limits)
        pool.close()
    assert unused_descriptors()[0] <= free[0]
    # To remove its folder takes three as well; else it is removed with the pass's.
    assert available < 3 or list(tmp_path.iterdir()) == []


def unused_descriptors() -> list[int]:
    """Return the lowest descriptors that this process does not use, three or more."""
    listed = os.dup(0)  # the lowest, which listing the others takes as well
    os.close(listed)
    used = {int(path.name) for path in Path("/dev/fd").iterdir()} - {listed}
    return sorted(set(range(len(used) + 3)) - used)


@pytest.mark.parametrize("size", [0, 1, MAX_BYTES, MAX_BYTES + 1])
def test_what_does_not_fit_into_memory_is_a_file(tmp_path: Path, size: int) -> None:
    content = bytes(size)
    pool = Pool("copy", "{}", Limits(), tmp_path, 1)
    try:
        for each in (b"another", content, b"another"):
            ((path, _),) = pool.run([tmp_path / "source"], ["a.txt"], each).files
            assert path.read_bytes() == each
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("pass", result()),
        (WRITE, result([["../in/input", "image/png"]])),
        (WRITE, result([["../../secret", "image/png"]])),
        ("os.symlink('../../secret', 'a')", result()),
        ("os.mkfifo('a')", result()),
        ("os.mkdir('a')", result()),
        (f"{WRITE}; os.mkdir('b')", result()),
        (WRITE, result([["..", "image/png"]])),
        (WRITE, result([[".", "image/png"]])),
        (WRITE, result([["", "image/png"]])),
        (WRITE, result([["a\0", "image/png"]])),
        (WRITE, result([["a" * 300, "image/png"]])),
        (WRITE, result([["\ud800", "image/png"]])),
        (WRITE, result([[7, "image/png"]])),
        (WRITE, result([["a"]])),
        (WRITE, result([["a", "image/png"], ["a", "image/png"]])),
        (WRITE, result(7)),
        (WRITE, result([["a", "image"]])),
        (WRITE, result([["a", "image/png\r\nX-Header: 1"]])),
        (WRITE, result([["a", "text/é"]])),
        (WRITE, result([["a", None]])),
        (
            "[open(str(i), 'w') for i in range(1001)]",
            result([[str(i), "a/b"] for i in range(1001)]),
        ),
        (WRITE, result(notes=["note"] * 101)),
        (WRITE, result(notes=7)),
        (WRITE, result(records=1)),
        (WRITE, result(records="1")),
        (records("'{}'"), result([["records.jsonl", "text/plain"]])),
        (records("'{}'"), result(records=2)),
        (records("'[]'"), result(records=1)),
        (records("'7'"), result(records=1)),
        (records("'nonsense'"), result(records=1)),
        (records("'[' * 100_000"), result(records=1)),
        (records("'{\"a\":' * 80", "'7'", "'}' * 80"), result(records=1)),
        (records("'{\"a\": NaN}'"), result(records=1)),
        (records("'{\"a\": [1e999]}'"), result(records=1)),
        (records("'{}\\n' * 100_001"), result(records=100_001)),
        (records("'{}\\n' + ' ' * (16 << 20)"), result(records=1)),
        (f"{WRITE}; os.symlink('../../secret', 'records.jsonl')", result(records=1)),
        (f"{WRITE}; os.mkfifo('records.jsonl')", result(records=1)),
        (WRITE, result().replace("{", "{'more': 1, ")),
    ],
)
def test_invalid_results_of_a_child(tmp_path: Path, action: str, answer: str) -> None:
    """Whatever it says of its results: the parent takes nothing but files of the child's folder."""
    (tmp_path / "secret").write_bytes(SECRET)
    environment = fake_child(tmp_path, action, answer)
    assert_crashes(tmp_path, environment)


def test_valid_results_of_a_child(tmp_path: Path) -> None:
    """The sibling of the invalid ones."""
    action = records("'{\"a\": [1.5, null]}\\n'")
    environment = fake_child(tmp_path, action, result(records=1, notes=["a\nb\x1b"]))
    (tmp_path / "source").write_bytes(b"picture")
    before = set(tmp_path.iterdir())
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        produced = pool.run([tmp_path / "source"], ["source"])
    finally:
        pool.close()
    ((path, content_type),) = produced.files
    assert (path.read_text(), content_type) == ("result", "image/png")
    assert set(tmp_path.iterdir()) == before | {path}
    assert list(produced.records) == [{"a": [1.5, None]}]
    assert list(produced.notes) == ["a\ufffdb\ufffd"]
