"""What a transform's process can do if a file compromises it, with positive controls."""

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.running import is_alive
from tests.worker.pipeline import ROOT, Pipeline
from tests.worker.test_sandbox import LANDLOCK, fake_child
from tests.worker.test_transforms import RUN_POOL, python
from worker.errors import TransformCrashed, UploadDeferred
from worker.sandbox.pool import Pool
from worker.settings import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp")

Outcomes = dict[str, dict[str, str]]
PAYLOAD = Path(__file__).parent / "payload"
#: Calls that others than root are refused anyway, on this kernel or on older ones.
FOR_ROOT = {"open_by_handle_at", "bpf", "fanotify_init", "userfaultfd", "perf_event_open"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the worker and the hostile transforms."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=ignored)
    shutil.copytree(PAYLOAD, folder / "worker/transforms/payload", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of another job."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "secret").write_text("of another job")
    return folder


@pytest.fixture(scope="module")
def confined(package: Path, others: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return what the attempts of a child of a pool came to."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "source").write_text(str(others))
    done = python(package, folder, "-c", RUN_POOL, "payload", "{}", "source", str(folder))
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["records"]
    return dict(record)


@pytest.fixture(scope="module")
def free(
    package: Path, others: Path, confined: Outcomes, tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """Return what the same attempts come to without confinement."""
    del confined  # it comes first: these change the other job's file
    folder = tmp_path_factory.mktemp("free")
    (folder / "source").write_text(str(others))
    script = (
        "import json\nfrom pathlib import Path\nfrom worker.transforms.payload import attempt_all\n"
        f"print(json.dumps(attempt_all(Path('source'), Path({str(others)!r}))))"
    )
    done = python(package, folder, "-c", script)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_calls_that_reach_others_are_refused(confined: Outcomes, free: Outcomes) -> None:
    allowed = FOR_ROOT if os.geteuid() else set()
    refused = {name for name, outcome in free["calls"].items() if outcome == "EPERM"}
    assert refused <= allowed  # the kernel looks at the call: it is not refused without the filter
    assert confined["calls"] == dict.fromkeys(free["calls"], "EPERM")


def test_clone3_is_unknown_so_that_libc_starts_threads_otherwise(
    confined: Outcomes, free: Outcomes
) -> None:
    assert (free["replaced"], confined["replaced"]) == ({"clone3": "EINVAL"}, {"clone3": "ENOSYS"})


def test_what_transforms_need_works(confined: Outcomes, free: Outcomes) -> None:
    assert confined["needed"] == free["needed"] == dict.fromkeys(free["needed"], "done")


def test_modes_and_times_of_files_stay(confined: Outcomes, free: Outcomes) -> None:
    """Setting them is ignored, not refused: libraries set those of copies."""
    assert free["changes"] == {"mode": "done", "times": "done"}
    assert confined["changes"] == {"mode": "ECANCELED", "times": "ECANCELED"}


@pytest.mark.skipif(not LANDLOCK, reason="this kernel has no Landlock")
def test_other_files_and_folders_are_out_of_reach(confined: Outcomes, free: Outcomes) -> None:
    assert free["files"] == dict.fromkeys(free["files"], "done")
    # A link between folders fails as between file systems (landlock(7)).
    assert set(confined["files"].values()) <= {"EACCES", "EXDEV"}


THREADED = """
import os, queue, threading
from worker.transforms import Produced
asked, answers = queue.Queue(), queue.Queue()
def signal():
    try:
        os.kill(asked.get(), 0)
        answers.put("signalled")
    except OSError as error:
        answers.put(type(error).__name__)
threading.Thread(target=signal, daemon=True).start()
def apply(inputs, outputs, parameters):
    asked.put(os.getppid())
    return Produced(notes=[answers.get()])
"""


def test_threads_of_imports_are_filtered_and_reported(package: Path, tmp_path: Path) -> None:
    """The filter is for all threads; Landlock is for those that start later (landlock(7))."""
    folder = package / "worker/transforms/threaded"
    folder.mkdir()
    (folder / "__init__.py").write_text(THREADED)
    (folder / "transform.toml").write_text('summary = "Start a thread."\npolicy = "picture"\n')
    (tmp_path / "source").write_text("")
    script = (
        "import json, pathlib\nfrom worker.sandbox.pool import Pool\n"
        "from worker.settings import Limits\n"
        'pool = Pool("threaded", "{}", Limits(), pathlib.Path(), 1)\n'
        'made = pool.run([pathlib.Path("source")], ["a"])\npool.close()\n'
        "print(json.dumps([list(made.notes), pool.unenforced]))"
    )
    done = python(package, tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    notes, unenforced = json.loads(done.stdout)
    assert notes == ["PermissionError"]
    assert "other files, to threads that the transform's imports started" in unenforced


RESULT = """json.dumps({'files': [['a', 'a/b']], 'records': 0, 'notes': []}) + '\\n'"""
SURVIVOR = """
import subprocess
with open("../../pid", "w") as file:
    file.write(str(subprocess.Popen(["sleep", "600"]).pid))
open("a", "w").write("result")
"""
SILENT = """
import time
os.close(1)
sys.stdout = open("/dev/null", "w")
time.sleep(600)
"""
#: It notices each file by itself, and answers without reading that there is one.
UNASKED = f"""
import time
def number():
    try:
        return os.stat("../in/input").st_ino
    except FileNotFoundError:  # between two files
        return None
known = None
while True:
    while (found := number()) in (None, known):
        time.sleep(0.001)
    known = found
    open("a", "w").write("result")
    print({RESULT}, end="", flush=True)
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Return two inputs."""
    (tmp_path / "jobs").mkdir()
    made = [tmp_path / "jobs" / name for name in ("one", "other")]
    for source in made:
        source.write_bytes(b"picture")
    return made


@pytest.mark.parametrize("answer", [RESULT, "'nonsense\\n'"], ids=["result", "nonsense"])
def test_nothing_that_a_child_started_survives_it(
    tmp_path: Path, sources: list[Path], answer: str
) -> None:
    """The second line, for platforms where a child can start processes."""
    environment = fake_child(tmp_path, f"exec({SURVIVOR!r})", answer)
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        with suppress(TransformCrashed):
            pool.run([sources[0]], ["a.png"])
        grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    finally:
        pool.close()
    eventually(lambda: not is_alive(grandchild))


@pytest.mark.parametrize(
    ("action", "reason"),
    [(SILENT, "its process sent an invalid response"), (UNASKED, "its process does not read")],
    ids=["closes its output", "does not read"],
)
def test_a_child_cannot_block_the_worker(
    tmp_path: Path,
    sources: list[Path],
    action: str,
    reason: str,
) -> None:
    environment = fake_child(tmp_path, f"exec({action!r})", "''")
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        with pytest.raises(TransformCrashed, match=reason):
            for number in range(200):
                pool.run([sources[number % 2]], ["x" * 1000])
    finally:
        pool.close()


def test_a_child_cannot_end_the_pass(tmp_path: Path, sources: list[Path]) -> None:
    """What it says of the machine concerns its own file only."""
    answer = "json.dumps({'environment': 'No space left on device'}) + '\\n'"
    environment = fake_child(tmp_path, "pass", answer)
    pool = Pool("negate", "{}", Limits(seconds=60), tmp_path, 1, environment=environment)
    try:
        with pytest.raises(UploadDeferred, match="No space left on device"):
            pool.run([sources[0]], ["a.png"])
    finally:
        pool.close()


#: Returns the content type that the input names; `lie` says so past the child's own check.
TYPES = """
import json, os, stat, time
from worker.transforms import Produced
def apply(inputs, outputs, parameters):
    (source,) = inputs
    asked = json.loads(source.path.read_text())
    (outputs / "a").write_text("result")
    if asked["lie"]:
        answer = {"files": [["a", asked["type"]]], "records": 0, "notes": []}
        for descriptor in range(1, 64):
            try:
                is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
                os.write(descriptor, json.dumps(answer).encode() + b"\\n") if is_pipe else None
            except OSError:
                pass
        time.sleep(600)
    return Produced([(outputs / "a", asked["type"])])
"""
MALFORMED = {
    "line break": "image/png\r\nx-amz-acl: public-read",
    "end of line": "image/png\n",
    "spaces": "image/png;  a=b",
    "around": " image/png",
    "letters": "image/pñg",
    "wide": "image/写",
    "surrogate": "image/\ud800",
    "nothing": "",
    "no type": "/png",
    "null": "image/png\0",
    "long": "image/" + "p" * 100_000,
}


@pytest.mark.parametrize("lie", [False, True], ids=["mistaken", "compromised"])
def test_malformed_content_types_harm_no_other_upload(
    versioned: Pipeline, package: Path, *, lie: bool
) -> None:
    """It becomes a signed header of the result."""
    folder = package / "worker/transforms/types"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text(TYPES)
    (folder / "transform.toml").write_text('summary = "Types."\npolicy = "picture"\n')
    versioned.environment = {"PYTHONPATH": str(package)}
    versioned.tables = {"pipeline": {"transform": "types"}}
    versioned.configure()
    # Those of a compromised process are each tried alone, three times.
    malformed = dict(list(MALFORMED.items())[:2]) if lie else MALFORMED
    for key, content_type in malformed.items():
        versioned.put(key, json.dumps({"type": content_type, "lie": lie}).encode())
    versioned.put("good", json.dumps({"type": "image/x.y+z", "lie": False}).encode())
    for _ in range(10):
        if not versioned.left():
            break
        assert "Traceback" not in versioned.run("drain").stderr
    rows = {row["key"]: (row["outcome"], row["reason"]) for row in versioned.rows()}
    assert rows.pop("good") == ("done", None)
    assert rows.keys() == malformed.keys()
    reason = "its process sent an invalid response" if lie else "is not of the form type/subtype"
    assert [why for why in rows.values() if why[0] != "quarantined" or reason not in why[1]] == []
    head = versioned.s3.head_object(Bucket=versioned.output, Key="good")
    assert head["ContentType"] == "image/x.y+z"
