"""What `./pipeline status` prints."""

import json
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, cast

import pytest

from cli.commands import status
from cli.errors import CommandError, MachineNotReady
from cli.machines.boot import Step
from cli.stacks.target import Target
from local.machine.process.machine import NO_BROKER


def machine(name: str, **values: Any) -> dict[str, Any]:
    """Return a machine of a report."""
    load = {"cores": 2, "cpu": 0.5, "memory_used": 1_500_000_000, "memory_total": 4_000_000_000}
    work = {"rate": 12.34, "running": 0, "jobs": [], "obstacle": None, "seconds_ago": 3}
    return {"machine": name} | load | work | values


def pipeline(name: str, *machines: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return a pipeline of a report."""
    backlog = {"count": 0, "running": 0, "bytes": 0, "oldest": None}
    counts = {"backlog": backlog, "done": 0, "rate": 0, "quarantined": 0, "last_error": None}
    lists = {"machines": machines, "waiting_because": [], "quarantine": []}
    undeletable = {"count": 0, "uploads": []}
    extent = {"queue": None, "seconds_left": None, "undeletable": undeletable}
    return {"name": name} | counts | lists | extent | values


def report(*machines: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return a report on a stack with one pipeline."""
    lists: dict[str, Any] = {"ingest": [], "cameras": [], "warnings": []}
    return {"machines": machines, "pipelines": [pipeline("a", *machines)]} | lists | values


class Host:
    """A machine that answers with a report."""

    is_on_this_computer = False

    def __init__(self, name: str, answer: Mapping[str, Any], *steps: Step) -> None:
        self.name, self._answer, self._steps = name, answer, list(steps)

    def start_worker(self, _arguments: object, _errors: IO[str]) -> subprocess.Popen[str]:
        command = ["echo", json.dumps(self._answer)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def steps(self) -> list[Step]:
        return self._steps


class NewHost(Host):
    """A machine whose database has no tables at first, or never."""

    def __init__(self, *answers: str, steps: Sequence[Step] = ()) -> None:
        super().__init__("lab-vm", {}, *steps)
        self._answers = list(answers)

    def start_worker(self, _arguments: object, _errors: IO[str]) -> subprocess.Popen[str]:
        answer = self._answers.pop(0)
        command = ["echo", answer] if answer else ["sh", "-c", "exit 3"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Stack:
    """A deployed stack."""

    name = "lab"

    def __init__(self, hosts: Sequence[Host], names: Sequence[str] = ()) -> None:
        self._hosts, self._names = hosts, names

    def hosts(self) -> list[Any]:
        return list(self._hosts)

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        assert not show_secrets
        return {"machineNames": self._names} if self._names else {}


def show(stack: Stack, *, as_json: bool = False) -> None:
    assert status.command.callback is not None
    status.command.callback(target=cast("Target", stack), pipeline=None, as_json=as_json)


def test_line_of_ingest_says_why_there_is_no_broker(capsys: pytest.CaptureFixture[str]) -> None:
    ingest = {"machine": "vm", "last_pass": "12:00", "obstacle": "Connection refused"}
    broken = Step("pipeline-broker", f"failed: {NO_BROKER}", ())
    show(Stack([Host("vm", report(ingest=[ingest]), broken)]))
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("ingest"))
    assert NO_BROKER in line
    assert "Connection refused" not in line


def test_a_machine_that_creates_its_tables_is_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    show(Stack([NewHost("", json.dumps(report(machine("lab-vm"))))]))
    assert "lab-vm" in capsys.readouterr().out


def test_tables_that_cannot_be_created_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step("pipeline-migrate", "failed (exit-code)", ("wrong password",))
    with pytest.raises(MachineNotReady, match=r"^Machine lab-vm is still being set up: .*tables"):
        show(Stack([NewHost("", steps=[step])]))
    assert "wrong password" in capsys.readouterr().err


def test_machines_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"id": "1" * 32, "pipeline": "a", "key": "cat.jpg", "started": None}
    machines = [
        machine("lab-vm", running=3, jobs=[job]),
        machine("lab-vm-2", seconds_ago=4000, cpu=None, memory_total=None, obstacle="No disk."),
    ]
    show(Stack([Host("lab-vm", report(*machines))]))
    heading, first, second, space = (
        re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines()[:4]
    )
    assert heading == [
        *(
            "machine",
            "jobs a minute (last 10 min)",
            "CPU",
            "memory",
            "last seen",
            "works on",
            "problem",
        )
    ]
    memory = "1.5 GB of 4.0 GB"
    work = "cat.jpg and 2 more"
    assert first == ["lab-vm", "12.3", "50 % of 2 cores", memory, "3 s ago", work, "none"]
    lost = ("1 h ago", "nothing", "No disk.")
    assert second == ["lab-vm-2", "12.3", "unknown", "unknown", *lost]
    assert space == [""]


def test_load_of_processes_is_that_of_the_computer(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host("local-vm", report(machine("local-vm")))
    host.is_on_this_computer = True
    show(Stack([host]))
    heading = re.split(" {2,}", capsys.readouterr().out.splitlines()[0])
    assert heading[2:4] == ["CPU (computer)", "memory (computer)"]


def test_machines_that_left_the_stack_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host("lab-vm", report(machine("lab-vm"), machine("lab-vm-2")))
    show(Stack([host], names=["lab-vm"]))
    assert "lab-vm-2" not in capsys.readouterr().out
    show(Stack([host], names=["lab-vm"]), as_json=True)
    printed = json.loads(capsys.readouterr().out)
    for part in (printed, *printed["pipelines"]):
        assert [one["machine"] for one in part["machines"]] == ["lab-vm"]
    show(Stack([host]))  # an earlier version deployed it
    assert "lab-vm-2" in capsys.readouterr().out


def test_a_stack_without_a_pass_yet(capsys: pytest.CaptureFixture[str]) -> None:
    show(Stack([Host("lab-vm", report())], names=["lab-vm"]))
    assert "machine      none has made a pass yet" in capsys.readouterr().out


def test_machine_without_a_pass_yet_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["lab-vm", "lab-vm-2", "lab-vm-3"]
    show(Stack([Host("lab-vm", report(machine("lab-vm")))], names=names))
    assert "no pass yet  lab-vm-2, lab-vm-3" in capsys.readouterr().out
    show(Stack([Host("lab-vm", report(*map(machine, names)))], names=names))
    assert "no pass yet" not in capsys.readouterr().out


def test_backlog_has_its_queue_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    backlog = {"count": 90, "running": 2, "bytes": 1234, "oldest": "2026-01-02T12:00:00Z"}
    queue = {"queued": 4, "running": 2, "uploads": 48}
    waiting = pipeline("a", backlog=backlog, queue=queue, seconds_left=700)
    idle = pipeline("b", backlog=backlog)
    show(Stack([Host("lab-vm", report(pipelines=[waiting, idle]))]))
    lines = capsys.readouterr().out.splitlines()
    what = "backlog      90 objects, 1234 bytes, oldest 2026-01-02T12:00:00Z"
    assert f"{what}, about 11 min left" in lines
    assert f"{what}, time left unknown" in lines
    assert [one for one in lines if one.startswith("queue")] == [
        "queue        48 uploads in 6 tasks, 2 running"
    ]


def test_one_thing_has_no_plural(capsys: pytest.CaptureFixture[str]) -> None:
    backlog = {"count": 1, "running": 0, "bytes": 1, "oldest": None}
    undeletable = {"count": 1, "uploads": [{"key": "x", "reason": "denied"}]}
    queue = {"queued": 1, "running": 0, "uploads": 1}
    only = pipeline("a", backlog=backlog, queue=queue, undeletable=undeletable)
    lab = machine("lab-vm", cores=1)
    show(Stack([Host("lab-vm", report(lab, pipelines=[only]))]))
    printed = capsys.readouterr().out
    for sentence in (
        "50 % of 1 core ",
        "1 object, 1 byte, time left unknown",
        "1 upload in 1 task, 0 running",
        "1 object done that cannot be deleted:",
    ):
        assert sentence in printed


def test_warnings_and_failures_of_each_machine(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(machine("lab-vm"), warnings=["The bucket is nearly full."])
    broken = Step("pipeline-migrate", "failed (exit-code)", ("no database",))
    show(Stack([Host("lab-vm", found), Host("lab-vm-2", found, broken)]))
    lines = capsys.readouterr().err.splitlines()
    assert "Warning: The bucket is nearly full." in lines
    assert any(one.startswith("  lab-vm-2: pipeline-migrate: failed") for one in lines)


def test_report_of_an_earlier_version_names_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    earlier = report(machine("lab-vm"))
    del earlier["warnings"]
    with pytest.raises(CommandError, match=r"lab-vm .* earlier version.*up --stack lab' updates"):
        show(Stack([Host("lab-vm", earlier)]))
    show(Stack([Host("lab-vm", earlier)]), as_json=True)
    assert json.loads(capsys.readouterr().out)["machines"]


def test_logins_at_a_time_are_fewer_than_a_server_takes() -> None:
    """OpenSSH refuses some of those beyond ten (sshd_config(5), MaxStartups)."""
    ten, met = threading.Barrier(10), []

    class Counted(Host):
        def steps(self) -> list[Step]:
            with suppress(threading.BrokenBarrierError):
                met.append(ten.wait(1))
            return []

    show(Stack([Counted("lab-vm", report()) for _ in range(20)]))
    assert met == []
