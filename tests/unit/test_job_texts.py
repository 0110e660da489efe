"""What `jobs run` and `jobs show` print of long texts and of runs with refused jobs."""

from typing import Any

import pytest

from cli.job_report import print_job
from cli.run_report import print_runs

LONG = "\n".join(f"line {number}" for number in range(1000))
RUN = "a" * 32


def run(text: str | None = None, *, identifier: str = RUN, **counts: int) -> dict[str, Any]:
    """Return a run as `jobs run --json` has it; counts are of its only pipeline."""
    states = dict.fromkeys(("waiting", "running", "done", "quarantined", "dropped"), 0)
    return {
        "run": identifier,
        "pipeline": "scan",
        "key": "x.txt",
        "uploaded": "2026-01-01T00:00:00Z",
        "changed": "2026-01-01T00:00:01Z",
        "text": text,
        "ended": True,
        "blocked": [],
        "gathers": [],
        "pipelines": [{"name": "scan", **states, **counts}],
    }


def test_text_of_a_run_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([run(LONG, done=1)])
    shown = capsys.readouterr().out
    assert "configuration\n  line 0\n" in shown
    assert shown.endswith("  line 19\n  … 980 more lines: --json has all\n")


def test_difference_of_runs_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([run("one"), run(LONG, identifier="b" * 32)])
    shown = capsys.readouterr().out
    assert "  +line 0\n" in shown
    assert len(shown.splitlines()) < 40
    assert "more lines: --json has all" in shown


def job_with(**more: object) -> dict[str, Any]:
    """Return a job as `jobs show --json` has it."""
    job: dict[str, Any] = dict.fromkeys(("reason", "records", "retry_of", "retried_by", "parent"))
    job |= {"id": RUN, "run": RUN, "key": "x.txt", "pipeline": "scan", "state": "done"}
    job |= dict.fromkeys(("timeline", "notes", "members", "children", "outputs"), ())
    job |= {"attempts": 1, "text": "", "log": ""}
    job["input"] = {"bucket": "in", "key": "x.txt", "bytes": 9, "version_id": "", "sha256": ""}
    return {**job, **more}


def test_members_of_a_gathered_job_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    keys = [f"part-{number}" for number in range(23)]
    members = [{"job": RUN, "pipeline": "scan", "bucket": "out", "key": key} for key in keys]
    print_job(job_with(members=members))
    shown = capsys.readouterr().out
    assert f"members\n  {RUN[:12]} scan: out/part-0\n" in shown
    assert shown.endswith(" out/part-19\n  … 3 more lines: --json has all\n")


def test_text_of_a_job_is_cut_but_not_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    print_job(job_with(text=LONG, log=LONG))
    text, log = capsys.readouterr().out.split("\ninput\n")[1].split("\nlog\n")
    assert text.endswith("  line 19\n  … 980 more lines: --json has all\n")
    assert log.splitlines()[-1] == "  line 999"


def test_ended_run_names_its_quarantined_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs([run(done=2, quarantined=1)])
    shown = capsys.readouterr().out
    assert "ended, 1 quarantined\n" in shown
    assert f"`jobs retry --run {RUN[:12]}` processes them again" in shown
    print_runs([run(done=3)])
    assert "quarantined" not in capsys.readouterr().out
