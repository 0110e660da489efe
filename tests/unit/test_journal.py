"""What `logs` runs: the journal of all services of a machine, or of one pipeline."""

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from cli.machines.local_host import ProcessHost
from cli.machines.ssh_host import SshHost
from local.machine.process.machine import ProcessMachine

LINES = [
    "applied 001_results",
    '{"time": "2026-01-31", "event": "done", "pipeline": "negatives"}',
    '{"time": "2026-01-31", "event": "done", "pipeline": "thumbs"}',
    '{"time": "2026-01-31", "event": "pass", "pipeline": "negatives-2"}',
    '{"time": "2026-01-31", "event": "stored", "service": "ingest"}',
    "2026-01-31T09:00:00 broker: New connection from 127.0.0.1:9 on port 8.",
    "machine: worker web --port 8700 exited with status 1.",
    "machine: worker drain --pipeline negatives --linger 60 exited with status 1.",
]


@pytest.fixture
def host(tmp_path: Path) -> ProcessHost:
    made = ProcessMachine("vm", tmp_path)
    made.journal.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return ProcessHost(made)


@pytest.mark.parametrize(
    ("lines", "chosen", "expected"),
    [
        (3, {}, LINES[-3:]),
        (100, {"pipeline": "negatives"}, [LINES[1], LINES[-1]]),
        (1, {"pipeline": "negatives"}, LINES[-1:]),
        (100, {"pipeline": "thumbs"}, LINES[2:3]),
        (100, {"service": "ingest"}, LINES[4:5]),
        (100, {"service": "broker"}, LINES[5:6]),
        (100, {"service": "web"}, LINES[6:7]),
    ],
)
def test_process_machines_lines(
    host: ProcessHost, lines: int, chosen: dict[str, str], expected: list[str]
) -> None:
    command = host.journal(lines, follow=False, **chosen)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("pipeline", ["", "negatives"])
def test_new_lines_follow(host: ProcessHost, pipeline: str) -> None:
    command = host.journal(1, follow=True, pipeline=pipeline)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{LINES[-1]}\n"
        with host.machine.journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{LINES[1]}\n")
        assert process.stdout.readline() == f"{LINES[1]}\n"
        os.killpg(process.pid, signal.SIGTERM)


def test_units_of_a_virtual_machine() -> None:
    host = SshHost("vm", "id", "10.0.0.1", "ubuntu", Path("key"), Path("known"), "cloud")
    everything = shlex.split(host.journal(7, follow=False)[-1])
    assert everything[-2:] == ["--unit=pipeline-*", "--lines=7"]
    one = shlex.split(host.journal(7, follow=True, pipeline="thumbs")[-1])
    assert one[-3:] == ["--unit=pipeline-worker@thumbs.service", "--lines=7", "--follow"]
    web = shlex.split(host.journal(7, follow=False, service="web")[-1])
    assert web[-2:] == ["--unit=pipeline-web.service", "--lines=7"]
