"""The process machine: how it applies user-data and runs the worker."""

import ast
import base64
import gzip
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from infra.user_data import document
from local import processes
from local.errors import InvalidUserData
from local.machine import kinds, machine, user_data
from local.machine.kinds import MachineKind
from local.machine.process import units
from local.machine.process.machine import ProcessMachine
from tests.eventually import eventually, patience
from tests.running import is_alive

PIPELINES = ("negatives", "thumbs")
PREPARE = "prepare --pipeline thumbs"
# `prepare` fails the first time, and until its pipeline was drained; `migrate` fails twice.
WORKER = """
import os, signal, subprocess, sys, time
from pathlib import Path
here = Path(os.environ["STATE_DIRECTORY"])
secrets = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
loaded = [f"{one.name}={one.read_text()}" for one in secrets.glob("*")]
(here / f"credentials of {sys.argv[3]}").write_text(" ".join(sorted(loaded)))
if sys.argv[3] in ("drain", "prepare"):
    (here / f"environment of {sys.argv[3]}").write_text(repr(dict(os.environ)))
if sys.argv[3] == "prepare" and not ((here / "tried").exists() and (here / "commands").exists()):
    (here / "tried").touch()
    sys.exit("the hub is not there yet")
with (here / "commands").open("a") as commands:
    print(*sys.argv[3:], file=commands)
if sys.argv[3] == "migrate" and (here / "commands").read_text().count("migrate") < 3:
    sys.exit("the database is not there yet")
if sys.argv[3] == "log":
    print("settings", Path(sys.argv[2]).read_text())
    print("environment", sorted(os.environ))
if sys.argv[3] == "drain" and (here / "crash").exists():
    os.kill(os.getpid(), 9)
if sys.argv[3] == "drain" and (here / "slow").exists():
    def end(*_):
        time.sleep(3.5)  # longer than a machine that is deleted has
        (here / "ended").touch()
        sys.exit()
    signal.signal(signal.SIGTERM, end)
    (here / "slow").unlink()
    time.sleep(600)
deaf = (here / "deaf").exists()
if sys.argv[3] == "drain" and (deaf or (here / "hang").exists()):
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (here / "held").touch()
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""

# It fails the first time, as without a store.
FETCH = f"""
import os, sys
from pathlib import Path
secrets = Path(os.environ["CREDENTIALS_DIRECTORY"])
loaded = [one.name + "=" + one.read_text() for one in secrets.glob("*")]
Path(sys.argv[2], "credentials of bootstrap").write_text(" ".join(sorted(loaded)))
tried = Path(sys.argv[2]) / "tried"
if not tried.exists():
    tried.touch()
    sys.exit("the store is not there yet")
(Path(sys.argv[2]) / "worker" / "__main__.py").write_text({WORKER!r})
"""

# `thumbs` has a secret and packages.
UNITS = """
import sys
from pathlib import Path
for name, text in {
    "pipeline-migrate.service.d/timers.conf": "[Unit]\\nWants=pipeline-prepare@thumbs.service\\n",
    "pipeline-job-thumbs@.service": "LoadCredential=token:/etc/pipeline/secrets/token\\n",
}.items():
    (Path(sys.argv[2]) / name).parent.mkdir(parents=True, exist_ok=True)
    (Path(sys.argv[2]) / name).write_text(text)
"""

CREDENTIALS = (
    *("s3-access-key", "s3-secret-key", "database-password", "database-admin-password"),
    *("database-certificate", "database-admin-certificate"),
)


def entry(path: str, content: str, mode: str = "0644") -> dict[str, str]:
    return {"path": path, "content": content, "permissions": mode}


FILES = [
    entry("/opt/pipeline/source/worker/__init__.py", ""),
    entry("/opt/pipeline/source/worker/bootstrap.py", FETCH),
    entry("/opt/pipeline/source/worker/units.py", UNITS),
    entry("/etc/pipeline/secrets/token", "hush", "0600"),
    entry(
        "/etc/pipeline/worker.toml",
        'sslrootcert = "/etc/pipeline/root.pem"\n[pipelines.negatives]\n[pipelines.thumbs]\n',
        "0600",
    ),
    *(entry(f"/etc/pipeline/credentials/{name}", f"{name}!", "0600") for name in CREDENTIALS),
    *(
        entry(f"/etc/systemd/system/{name}", text.replace("@INTERVAL@", "200ms"))
        for name, text in document.templates().items()
        if name.startswith("pipeline-")
    ),
]


def packed(files: list[dict[str, str]]) -> str:
    text = "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": ["true"]})
    return base64.b64encode(gzip.compress(text.encode())).decode()


@contextmanager
def running(folder: Path) -> Iterator[ProcessMachine]:
    kinds.start(folder, MachineKind(), "vm", packed(FILES), "")
    try:
        yield ProcessMachine("vm", folder)
    finally:
        kinds.stop(folder)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ProcessMachine]:
    with running(tmp_path / "a machine") as made:
        yield made


def environment_seen(host: ProcessMachine, pipeline: str, command: str) -> dict[str, str]:
    path = host.state / pipeline / f"environment of {command}"
    return dict(ast.literal_eval(path.read_text("utf-8")))


def commands_run(host: ProcessMachine, pipeline: str = "") -> list[str]:
    """Return what was run with a pipeline's state folder, "" for the commands of no pipeline."""
    path = host.state / pipeline / "commands"
    return path.read_text("utf-8").splitlines() if path.exists() else []


def await_passes(host: ProcessMachine, pipeline: str, count: int) -> None:
    eventually(lambda: len(commands_run(host, pipeline)) >= count)


def hold(host: ProcessMachine, *pipelines: str, how: str = "hang") -> None:
    """Wait until a pass of each pipeline runs that does not end: no later one writes its files."""
    for name in pipelines:
        await_passes(host, name, 1)
        (host.state / name / how).touch()
    eventually(lambda: all((host.state / name / "held").exists() for name in pipelines))


def test_fetches_and_migrates_until_both_succeed_then_drains_repeatedly(
    host: ProcessMachine,
) -> None:
    for name in PIPELINES:
        await_passes(host, name, 2)
        drain = f"drain --pipeline {name} --linger 60"
        assert set(commands_run(host, name)) - {PREPARE} == {drain}
    built_beside = ["build", "migrate", "migrate", "migrate"]  # in whatever order
    eventually(lambda: sorted(commands_run(host)) == built_beside)
    assert "the store is not there yet" in host.journal.read_text("utf-8")
    assert "the database is not there yet" in host.journal.read_text("utf-8")


def test_files_keep_their_modes_and_settings_name_the_mapped_paths(host: ProcessMachine) -> None:
    eventually(host.booted.exists)
    shown = host.run_worker(["log"]).stdout
    assert f'sslrootcert = "{host.root}/etc/pipeline/root.pem"' in shown
    secret = host.root / "etc/pipeline/credentials/s3-secret-key"
    assert secret.read_text("utf-8") == "s3-secret-key!"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert host.settings.stat().st_mode & 0o777 == 0o600
    public = host.root / "etc/systemd/system/pipeline-worker@.timer"
    assert public.stat().st_mode & 0o777 == 0o644


def test_units_get_the_credentials_that_they_load_and_no_others(host: ProcessMachine) -> None:
    hold(host, "thumbs")
    eventually(lambda: "build" in commands_run(host))

    def seen(path: Path) -> list[str]:
        words = path.read_text("utf-8").split()
        assert all(word == f"{word.partition('=')[0]}={word.partition('=')[0]}!" for word in words)
        return [word.partition("=")[0] for word in words]

    store = ["s3-access-key", "s3-secret-key"]
    drain = host.state / "thumbs" / "credentials of drain"
    assert seen(drain) == ["database-certificate", "database-password", *store]
    admin = ["database-admin-certificate", "database-admin-password"]
    assert seen(host.state / "credentials of migrate") == admin
    assert seen(host.state / "credentials of build") == []
    assert seen(host.source / "credentials of bootstrap") == store
    loaded = host.root / "run/credentials/pipeline-worker@thumbs.service"
    assert loaded.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in loaded.iterdir()} == {0o400}


def test_pipeline_is_prepared_until_that_succeeds_and_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running(tmp_path / "a machine") as host:
        eventually(lambda: PREPARE in commands_run(host, "thumbs"))
        steps = ["the hub is not there yet", "worker prepare --pipeline thumbs exited"]
        found = re.findall("|".join(steps), host.journal.read_text("utf-8"))
        assert found[:2] == steps  # lines of other units may be between them
        assert PREPARE.replace("thumbs", "negatives") not in commands_run(host, "negatives")
        hold(host, "thumbs")
        prepare, drain = (environment_seen(host, "thumbs", one) for one in ("prepare", "drain"))
    assert prepare["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert "PIP_INDEX_URL" not in drain
    folders = {each["PREPARED_DIRECTORY"] for each in (prepare, drain)}
    assert folders == {str(tmp_path / "cache/image-pipeline/prepared")}


def test_pass_gets_its_own_pipelines_secrets_and_no_other_command_does(
    host: ProcessMachine,
) -> None:
    eventually(lambda: PREPARE in commands_run(host, "thumbs"))
    hold(host, *PIPELINES)
    (secret,) = Path(environment_seen(host, "thumbs", "drain")["SECRETS_DIRECTORY"]).iterdir()
    assert (secret.name, secret.read_text("utf-8")) == ("token", "hush")
    assert secret.stat().st_mode & 0o777 == 0o400
    for name, command in (("negatives", "drain"), ("thumbs", "prepare")):
        assert "SECRETS_DIRECTORY" not in environment_seen(host, name, command)


def test_worker_command_does_not_inherit_the_callers_keys_and_proxies(
    host: ProcessMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("HTTPS_PROXY", "x")
    eventually(host.booted.exists)
    shown = host.run_worker(["log"]).stdout
    assert "PYTHONPATH" in shown
    assert "AWS_" not in shown
    assert "PROXY" not in shown


@pytest.mark.parametrize("trouble", ["crash", "hang"])
def test_pipeline_in_trouble_stops_no_other(host: ProcessMachine, trouble: str) -> None:
    if trouble == "crash":
        await_passes(host, "negatives", 1)
        (host.state / "negatives" / trouble).touch()
        died = "machine: worker drain --pipeline negatives --linger 60 exited with status -9."
        eventually(lambda: died in host.journal.read_text("utf-8"))
    else:
        hold(host, "negatives")
    before = len(commands_run(host, "thumbs"))
    eventually(lambda: len(commands_run(host, "thumbs")) >= before + 3)
    before = len(commands_run(host, "negatives"))
    if trouble == "crash":
        eventually(lambda: len(commands_run(host, "negatives")) > before)


def test_stop_is_prompt_and_ends_the_workers_children(host: ProcessMachine) -> None:
    hold(host, *PIPELINES)
    eventually(lambda: len(family(host)) >= 4)
    members = family(host)
    begun = time.monotonic()
    kinds.stop(host.folder)
    assert time.monotonic() - begun < 60 * patience()
    assert not any(map(is_alive, members))
    assert not host.folder.exists()


def test_worker_that_ignores_the_signal_is_killed(host: ProcessMachine) -> None:
    hold(host, *PIPELINES, how="deaf")
    eventually(lambda: len(family(host)) >= 4)
    members = family(host)
    begun = time.monotonic()
    kinds.stop(host.folder)
    assert time.monotonic() - begun < 60 * patience()
    assert not any(map(is_alive, members))


def test_shut_down_lets_a_pass_end(host: ProcessMachine) -> None:
    await_passes(host, "thumbs", 1)
    slow, ended = (host.state / "thumbs" / name for name in ("slow", "ended"))
    slow.touch()
    eventually(lambda: not slow.exists())
    kinds.shut_off(host.folder)
    assert ended.exists()
    assert not machine.is_running(host.folder)


def family(host: ProcessMachine) -> list[psutil.Process]:
    """Return the descendants of the machine's service."""
    pid = int((host.folder / "machine.pid").read_text("utf-8"))
    return list(psutil.Process(pid).children(recursive=True))


def test_killed_machine_boots_again_with_its_state(host: ProcessMachine) -> None:
    eventually(lambda: commands_run(host, "thumbs") and "build" in commands_run(host))
    processes.end(host.folder, first=signal.SIGKILL)
    assert not machine.is_running(host.folder)
    before = commands_run(host)
    kinds.start(host.folder, MachineKind(), "vm", packed(FILES), "")
    eventually(lambda: sorted(commands_run(host)) == sorted([*before, "build", "migrate"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (base64.b64encode(b"#!/bin/sh\n").decode(), "does not begin with '#cloud-config'"),
        (base64.b64encode(b"\x1f\x8bbroken").decode(), "cannot be read"),
        (base64.b64encode(b"#cloud-config\n{").decode(), "cannot be read"),
        (base64.b64encode(b"#cloud-config\n[]").decode(), "not a mapping"),
    ],
)
def test_invalid_user_data_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidUserData, match=words):
        user_data.files(text)


def test_path_outside_the_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidUserData, match="leaves its folder"):
        user_data.write([entry("/../../escaped", "x")], tmp_path / "root")


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("", "text"),
        ("b64", base64.b64encode(b"text").decode()),
        ("gz+b64", base64.b64encode(gzip.compress(b"text", mtime=0)).decode()),
    ],
)
def test_encodings_of_write_files(tmp_path: Path, encoding: str, content: str) -> None:
    user_data.write([{**entry("/a", content), "encoding": encoding}], tmp_path)
    assert (tmp_path / "a").read_text("utf-8") == "text"


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        *(("5s", 5), ("1", 1), ("500ms", 0.5), ("2min 30s", 150), ("1h", 3600), ("1min30s", 90)),
        *(("soon", None), ("5 parsecs", None), ("", None)),
    ],
)
def test_time_spans_are_systemds(span: str, seconds: float | None) -> None:
    assert units.seconds(span) == seconds


def test_interval_is_read_from_the_timer() -> None:
    assert units.interval("[Timer]\nOnBootSec=9s\nOnUnitInactiveSec = 5s\n") == 5
    assert units.interval("[Timer]\nOnBootSec=9s\n") is None
