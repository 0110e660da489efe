"""Jobs with the policy `command`: nothing outlives them, their limits, results, and supervisors."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.eventually import eventually, patience
from tests.running import is_alive, with_word
from tests.worker.command_jobs import LIMITS, Jobs, accepting
from tests.worker.pipeline import ROOT
from worker.environment import Environment
from worker.errors import (
    InvalidInput,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.sandbox.job_pool import JobPool
from worker.settings import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and pidfds")
#: Starts a process that neither descends from the program nor shares its session or output.
DAEMON = "setsid sh -c 'echo $$ > {outputs}/daemon.txt; exec sleep 600' > /dev/null 2>&1 &"
STARTED = "while ! [ -s {outputs}/daemon.txt ]; do sleep 0.01; done;"


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with closing(Jobs(tmp_path)) as made:
        yield made


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[Jobs]:
    """Return jobs whose supervisors are started by connecting to a socket, as systemd does."""
    command = [sys.executable, "-P", "-s", "-m", "worker.sandbox.job"]
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "token").write_text("of the unit")

    def start(connection: socket.socket) -> None:
        subprocess.Popen(
            command,
            stdin=connection.fileno(),
            cwd="/",
            env={
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(tmp_path),
                "CREDENTIALS_DIRECTORY": str(tmp_path / "unit"),
            },
        )

    with (
        accepting(tmp_path / "jobs.socket", start),
        closing(Jobs(tmp_path, str(tmp_path / "jobs.socket"))) as made,
    ):
        yield made


@contextmanager
def running(pool: JobPool, source: Path) -> Iterator[list[BaseException]]:
    """Run a job in a thread; yield what it raises, once the block has ended."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            pool.run([source], ["a"])
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(60 * patience())
        assert not thread.is_alive()


def descendants(name: str) -> list[psutil.Process]:
    """Return the processes of a name that descend from this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.name() == name:
                found.append(process)
    return found


def supervisors() -> list[psutil.Process]:
    """Return a supervisor's processes: the one that guards it, itself, and that of its job."""
    return with_word(psutil.Process().children(recursive=True), "worker.sandbox.job")


@pytest.mark.parametrize("ending", ["true", "exit 1", "kill -9 $$"])
def test_nothing_outlives_a_job(jobs: Jobs, ending: str) -> None:
    pool = jobs.shell(f"echo $$; {DAEMON} {STARTED} cat {{outputs}}/daemon.txt; {ending}")
    try:
        log = pool.run([jobs.source], ["a"]).log
    except InvalidInput as error:
        log = error.log
    pids = [int(line) for line in log.splitlines()[:2]]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert list(jobs.source.parent.glob("*/job")) == []
    assert jobs.source.read_text() == "input"


def test_stopping_kills_all_processes_of_jobs(jobs: Jobs) -> None:
    pool = jobs.shell(f"{DAEMON} {STARTED} sleep 600")
    with running(pool, jobs.source) as raised:
        eventually(lambda: len(descendants("sleep")) == 2)
        processes = descendants("sleep")
        pool.stop()
    assert [type(error) for error in raised] == [PassInterrupted]
    eventually(lambda: not any(map(is_alive, processes)))
    with pytest.raises(PassInterrupted):
        pool.run([jobs.source], ["a"])


RUN = """
import sys
from pathlib import Path
from worker.environment import Environment
from worker.sandbox.job_pool import JobPool
from worker.settings import Pipeline
parameters, source = sys.argv[1:]
pipeline = Pipeline("own", "command", "in", "out", parameters=parameters)
JobPool(pipeline, Environment(), Path(source).parent, 1, None).run([Path(source)], ["a"])
"""


def test_nothing_outlives_the_worker(jobs: Jobs) -> None:
    parameters = json.dumps({"argv": ["sh", "-c", f"{DAEMON} {STARTED} sleep 600"]})
    command = [sys.executable, "-c", RUN, parameters, str(jobs.source)]
    worker = subprocess.Popen(command, cwd=ROOT)
    try:
        eventually(lambda: len(descendants("sleep")) == 2)
        processes = psutil.Process(worker.pid).children(recursive=True)
        assert len(processes) >= 5  # a supervisor's three, and the program's
    finally:
        worker.kill()
        worker.wait()
    eventually(lambda: not any(map(is_alive, processes)))


def test_nothing_outlives_a_killed_supervisor(jobs: Jobs) -> None:
    pool = jobs.shell(f"{DAEMON} {STARTED} [ -e {{inputs}}/short ] || sleep 600")
    with running(pool, jobs.source) as raised:
        eventually(lambda: len(descendants("sleep")) == 2)
        processes = descendants("sleep")
        _, supervisor, _ = supervisors()
        supervisor.kill()
    assert [type(error) for error in raised] == [TransformCrashed]
    eventually(lambda: not any(map(is_alive, processes)))
    pool.run([jobs.source], ["short"])


def test_a_supervisor_that_was_killed_while_it_waited_is_replaced(jobs: Jobs) -> None:
    pool = jobs.pool("true")
    pool.run([jobs.source], ["a"])
    _, idle = eventually(lambda: len(found := supervisors()) == 2 and found)
    idle.kill()
    idle.wait()
    pool.run([jobs.source], ["a"])


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        ("sleep 600", Limits(seconds=1), "it took longer than 1 seconds"),
        (
            "sh -c 'while :; do :; done' & sh -c 'while :; do :; done'",
            Limits(cpu_seconds=1),
            "it used more than 1 seconds of CPU time",
        ),
        (
            "hold() {{ python3 -c 'x = bytearray(90 << 20); input()' < /dev/zero; }}; hold & hold",
            Limits(memory_mb=150),
            "it needs more memory than 150 MB, limits.memory_mb",
        ),
        (
            "python3 -c 'import os, time\nfor _ in range(600): os.fork() or time.sleep(600)\n"
            "time.sleep(600)'",
            LIMITS,
            "it has more than 512 processes",
        ),
    ],
    ids=["time", "CPU of all processes", "memory of all processes", "processes"],
)
def test_limits(jobs: Jobs, script: str, limits: Limits, reason: str) -> None:
    pool = jobs.shell(f"echo begun; {DAEMON} {script}", limits=limits)
    with pytest.raises(InvalidInput) as raised:
        pool.run([jobs.source], ["a"])
    assert str(raised.value) == reason
    *printed, last = raised.value.log.splitlines()
    # Where only time is short, it may be over before anything was printed.
    assert printed == ["begun"] or (limits.seconds == 1 and not printed)
    assert re.fullmatch(rf"killed after \d+\.\d s: {reason}", last)
    assert not descendants("sleep")


def test_shared_memory_counts_once(jobs: Jobs) -> None:
    code = "import os, time; x = bytearray(90 << 20); os.fork(); time.sleep(0.5)"
    pool = jobs.pool("python3", "-c", code, limits=Limits(memory_mb=150))
    pool.run([jobs.source], ["a"])


def test_a_log_keeps_its_end(jobs: Jobs) -> None:
    code = "for i in range(20_000): print('line', i, 'é\\x00\\x1b[31m\\r')"
    pool = jobs.pool("python3", "-c", code)
    log = pool.run([jobs.source], ["a"]).log
    assert len(log.encode()) <= 16 << 10
    lines = log.splitlines()
    assert lines[0] == "… (the beginning is not kept)"
    assert lines[1].startswith("line ")
    assert lines[-1].startswith("ended with status 0 after ")
    assert "line 19999 é\ufffd\ufffd[31m" in lines


@pytest.mark.parametrize(
    "script",
    [
        "mkdir a; echo x > a/b; chmod 0 a",
        "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')",
        "mkdir {outputs}/.a; chmod 0 {outputs}/.a; chmod 500 {outputs}",
    ],
    ids=["unreadable", "nested deeply", "in its results"],
)
def test_whatever_folders_a_job_leaves_are_removed(jobs: Jobs, script: str) -> None:
    """Else the state folder of the pass could never be emptied again."""
    program = ["python3", "-c"] if script.startswith("import") else ["sh", "-c"]
    pool = jobs.pool(*program, script)
    assert pool.run([jobs.source], ["a"]).files == []
    assert list(jobs.source.parent.iterdir()) == [jobs.source]


def test_results_that_nobody_may_read(jobs: Jobs) -> None:
    """Their mode is the program's; a folder that the program locks is its fault."""
    pool = jobs.shell("umask 777; echo x > {outputs}/a")
    ((path, _),) = pool.run([jobs.source], ["a"]).files
    assert path.read_text() == "x\n"
    for script in ("chmod 0 {outputs}", "umask 777; echo '{{}}' > {outputs}/records.jsonl"):
        with pytest.raises(InvalidInput, match="its results cannot be read: Permission denied"):
            jobs.shell(script).run([jobs.source], ["a"])


def test_output_that_is_never_read_to_its_end(jobs: Jobs) -> None:
    """A program that prints for ever meets its limit; the log does not grow."""
    pool = jobs.pool("yes", limits=Limits(seconds=1))
    with pytest.raises(InvalidInput, match="it took longer than 1 seconds") as raised:
        pool.run([jobs.source], ["a"])
    assert len(raised.value.log.encode()) <= 16 << 10


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("ln -s /etc/passwd {outputs}/a", "special file 'a'"),
        ("ln -s {inputs}/a {outputs}/a", "special file 'a'"),
        ("mkfifo {outputs}/a", "special file 'a'"),
        ("mkdir {outputs}/a", "folder 'a'"),
    ],
)
def test_only_files_are_results(jobs: Jobs, script: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=f"contain the {what}"):
        jobs.shell(script).run([jobs.source], ["a"])


def test_many_inputs_and_results(jobs: Jobs) -> None:
    """More than fit into one message."""
    pool = jobs.shell("cd {inputs}; for f in */*; do cp $f {outputs}/$(basename $f).txt; done")
    sources = [jobs.source.with_name(f"source{number}") for number in range(250)]
    for number, source in enumerate(sources):
        source.write_text(str(number))
    made = pool.run(sources, [f"part/{number:03}" for number in range(250)])
    assert [path.read_text() for path, _ in made.files] == [str(number) for number in range(250)]
    assert {path.parent for path, _ in made.files} == {jobs.source.parent}


def test_names_of_inputs_may_exceed_a_message(jobs: Jobs) -> None:
    pool = jobs.shell("ls {inputs} | wc -l > {outputs}/count.txt")
    names = [f"{number:04}{'x' * 1000}" for number in range(4500)]
    ((path, _),) = pool.run([jobs.source] * len(names), names).files
    assert int(path.read_text()) == len(names)


def test_names_of_objects_are_safe(jobs: Jobs) -> None:
    pool = jobs.shell("cd {inputs}; find . -type f | sort > {outputs}/found.txt")
    sources = [jobs.source.with_name(f"source{number}") for number in range(6)]
    for source in sources:
        source.write_text("")
    names = ["../../up", "a", "a/b", "", "x\n\0y", "é" * 300 + ".csv"]
    made = pool.run(sources, names)
    ((path, _),) = made.files
    expected = ["_", "_/_/up", "_2/a/b", "a", "x__y", "é" * 98 + ".csv"]
    # The name of the fourth is a folder already.
    expected[0] = "_3/_"
    assert path.read_text().splitlines() == sorted(f"./{name}" for name in expected)


def test_a_program_has_no_variables_of_the_worker(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = jobs.shell("env | cut -d= -f1 > {outputs}/names.txt").run([jobs.source], ["a"])
    ((path, _),) = made.files
    names = set(path.read_text().split()) - {"PWD", "OLDPWD", "SHLVL", "_"}  # the shell's
    assert names == {"PATH", "LC_ALL", "HOME", "TMPDIR"}


def test_a_program_has_no_capabilities(jobs: Jobs) -> None:
    made = jobs.shell("grep Cap[PE] /proc/self/status > {outputs}/a.txt").run([jobs.source], ["a"])
    ((path, _),) = made.files
    assert {line.split()[1] for line in path.read_text().splitlines()} == {"0" * 16}


def test_programs_work_as_usual(jobs: Jobs) -> None:
    """What a filter easily breaks: pipes, temporary files, programs made on the way, signals."""
    script = (
        "set -e; echo '#!/bin/sh\nexit 0' > own; chmod +x own; ./own; mkdir -p a/b; mktemp; "
        "seq 9 | sort -r | head -n 1; sleep 60 & kill $!; wait $! || [ $? = 143 ]; "
        "python3 -c 'import socket; a, b = socket.socketpair(); a.send(b\"x\"); print(b.recv(1))'; "
        "cat /proc/self/status > /dev/null; getent passwd root; timeout 60 true; nproc"
    )
    made = jobs.shell(script).run([jobs.source], ["a"])
    assert made.log.splitlines()[-1].startswith("ended with status 0")


def test_a_unit_for_each_job(activated: Jobs) -> None:
    """As with systemd: the next one waits already, and has another process and folder."""
    pool = activated.shell("cat {inputs}/a > {outputs}/a.txt; pwd; echo $PPID")
    logs = []
    for text in ("one", "two", "three"):
        activated.source.write_text(text)
        made = pool.run([activated.source], ["a"])
        ((path, _),) = made.files
        assert path.read_text() == text
        logs.append(made.log.splitlines()[:2])
    assert len({folder for folder, _ in logs}) == len({pid for _, pid in logs}) == 3
    pool.close()
    eventually(lambda: not [pid for _, pid in logs if is_alive_pid(int(pid))])


def is_alive_pid(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("kind", ["jobs", "activated"])
def test_the_interpreter_and_the_secrets_of_a_pipeline(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found: Jobs = request.getfixturevalue(kind)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("of the worker")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    environment = Environment(venv / "bin/python", secrets=tmp_path / "secrets")
    code = (
        "import os, sys; print(sys.prefix); "
        "print(open(os.environ['CREDENTIALS_DIRECTORY'] + '/token').read())"
    )
    pool = found.pool("python3", "-c", code, environment=environment)
    for _ in range(2):
        lines = pool.run([found.source], ["a"]).log.splitlines()
        owner = {"jobs": "of the worker", "activated": "of the unit"}[kind]
        assert lines[:2] == [str(venv), owner]


def test_a_unit_ends_with_the_connection(activated: Jobs) -> None:
    pool = activated.shell(f"{DAEMON} {STARTED} sleep 600")
    with running(pool, activated.source) as raised:
        eventually(lambda: len(descendants("sleep")) == 2)
        processes = descendants("sleep")
        pool.stop()
    assert [type(error) for error in raised] == [PassInterrupted]
    eventually(lambda: not any(map(is_alive, processes)))


def test_an_architecture_without_a_filter_runs_jobs_and_says_so(jobs: Jobs, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec setarch linux32 {sys.executable} "$@"\n')
    python.chmod(0o755)
    pool = jobs.pool("sh", "-c", "uname -m", environment=Environment(python))
    machine = pool.run([jobs.source], ["a"]).log.splitlines()[0]
    assert any(f"no filter for {machine} here" in each for each in pool.unenforced)


def test_without_its_socket_the_pass_ends(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with (
        closing(Jobs(tmp_path, str(path))) as jobs,
        pytest.raises(ServiceUnavailable, match=f"cannot be started at {path}: No such file"),
    ):
        jobs.pool("true").run([jobs.source], ["a"])


def test_inputs_that_cannot_be_stored_defer_the_upload(jobs: Jobs) -> None:
    """And the supervisor goes on, whatever was on its way."""
    pool = jobs.shell("cat {inputs}/* | wc -c > {outputs}/count.txt")
    pool.run([jobs.source], ["a"])
    _, supervisor = eventually(lambda: len(found := supervisors()) == 2 and found)
    with TemporaryDirectory(dir="/dev/shm") as other:
        sources = [jobs.source, *(Path(other, str(number)) for number in range(150))]
        for source in sources[1:]:
            source.write_bytes(bytes(2000))
        names = [source.name for source in sources]
        supervisor.rlimit(psutil.RLIMIT_FSIZE, (1000, psutil.RLIM_INFINITY))
        with pytest.raises(UploadDeferred, match="File too large in"):
            pool.run(sources, names)
        supervisor.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        ((path, _),) = pool.run(sources, names).files
        assert path.read_text().strip() == str(len("input") + 150 * 2000)
    assert supervisor.is_running()


def test_a_signal_to_its_group_reaches_the_job_alone(jobs: Jobs) -> None:
    with pytest.raises(TransformCrashed, match="killed by signal 9"):
        jobs.shell("kill -9 0; sleep 5").run([jobs.source], ["a"])
