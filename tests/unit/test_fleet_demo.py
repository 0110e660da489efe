"""Several machines in a demo: what it waits for, what it sends, what it reports."""

import json
import subprocess
from dataclasses import dataclass, field
from typing import IO, Any, cast

import pytest
from click.testing import CliRunner

from cli.commands import demo
from cli.errors import CommandError
from cli.fleet_demo import more_photos, print_shares
from cli.machines import fleet
from cli.machines.fleet import await_fleet
from cli.machines.host import Host
from cli.results import await_rows
from cli.stacks.target import Target

NAMES = ("vm", "vm-2")
HEADING = ["machines", "workers", "listers"]


def test_there_are_enough_photos_with_keys_of_their_own() -> None:
    photos = more_photos(3)
    assert len(photos) >= 3 * 24
    assert len({photo.key for photo in photos}) == len(photos)
    for photo in photos:
        photo.check()


def test_more_machines_than_this_computers_cloud_admits_are_refused() -> None:
    for number in ("0", "9"):
        result = CliRunner().invoke(demo.command, ["--machines", number])
        assert f"{number} is not in the range 1<=x<=8" in result.output


def test_share_of_each_machine_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"worker": "vm"}] * 3 + [{"worker": "vm-2"}]
    print_shares(NAMES, rows)
    assert [line.split() for line in capsys.readouterr().out.splitlines() if line] == [
        ["machine", "photos"],
        ["vm", "3"],
        ["vm-2", "1"],
    ]
    with pytest.raises(CommandError, match=r"^Machines that did nothing: vm-2, vm-3\.$"):
        print_shares([*NAMES, "vm-3"], rows[:3])


class Recording:
    """A machine that records an upload more each time that its log is read; oldest first."""

    def __init__(self, *keys: str) -> None:
        self.keys, self.asked = keys, 0

    def start_worker(self, arguments: list[str], errors: IO[str]) -> subprocess.Popen[str]:
        del errors
        (last,) = (int(one.partition("=")[2]) for one in arguments if one.startswith("--last="))
        self.asked += 1
        lines = [json.dumps({"input_key": key}) for key in self.keys[: self.asked][-last:]]
        return subprocess.Popen(["printf", "%s\n", *lines], stdout=subprocess.PIPE, text=True)


def test_rows_are_found_among_those_of_uploads_that_the_page_took() -> None:
    machine = Recording("a.jpg", "theirs-1.jpg", "b.jpg", "theirs-2.jpg")
    rows = await_rows(cast("Host", machine), {"a.jpg", "b.jpg"}, 60)
    assert [row["input_key"] for row in rows] == ["a.jpg", "b.jpg"]
    assert machine.asked == 3
    assert await_rows(cast("Host", machine), {"c.jpg"}, 0) == []


@dataclass
class Machines:
    """A stack whose first machine gives these answers in turn, the last one for good."""

    answers: list[Any]
    asked: int = 0
    name: str = field(default="lab")

    def hosts(self) -> list[Any]:
        return [Machine(name, self) for name in NAMES]


@dataclass
class Machine:
    """Its worker prints the stack's next answer, or fails."""

    name: str
    stack: Machines

    def start_worker(self, arguments: list[str], errors: IO[str]) -> subprocess.Popen[str]:
        assert arguments[0] == "sql"
        answer = self.stack.answers[min(self.stack.asked, len(self.stack.answers) - 1)]
        self.stack.asked += 1
        if isinstance(answer, str):
            errors.write(answer)
            command = ["false"]
        else:
            command = ["printf", "%s\\n", json.dumps(HEADING), json.dumps(answer)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def explain_failure(self, code: int, errors: str) -> CommandError | None:
        del code, errors
        return None


ANSWERS = [
    ("the database is not there yet", "the database is not there yet"),
    ([["vm"], 0, 0], "no pass yet on vm-2"),
    ([["vm", "vm-2", "gone"], 3, 2], "3 of 4 passes fetch tasks"),
    ([["vm", "vm-2"], 4, 1], "no machine lists the input yet"),
]
READY = [["vm-2", "vm"], 4, 2]


def test_it_waits_until_every_pass_of_every_machine_takes_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "_POLL_SECONDS", 0)
    stack = Machines([*(answer for answer, _ in ANSWERS), READY])
    await_fleet(cast("Target", stack), 2, 60)
    assert stack.asked == len(ANSWERS) + 1


@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_without_progress_it_says_what_is_missing(
    answer: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_POLL_SECONDS", 0)
    with pytest.raises(CommandError, match=reason) as error:
        await_fleet(cast("Target", Machines([answer])), 2, 0)
    absent = "vm-2" if "vm-2" in reason else "vm"
    assert f"'./pipeline logs --machine {absent} --stack lab' shows why" in error.value.message
