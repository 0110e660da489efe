"""Waiting until the runs of an example's files have ended."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cli.errors import CommandError
from cli.machines.host import Host, ask, stream
from cli.terminal import print_progress, spinner
from worker.jobs.machines import present_machines

_PATIENCE_SECONDS = 900  # without progress; a booted machine installs packages first
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 3  # between questions why nothing happens
_NOTHING = "no job has begun"


def await_runs(host: Host, pipeline: str, keys: Sequence[str]) -> None:
    """Wait until every file's run has ended, or cannot end; show how far they are.

    Raises:
        CommandError: There was no progress for long.
    """
    seen, last_progress = _NOTHING, time.monotonic()
    last_look = last_progress
    with spinner("Waiting for the jobs") as screen:
        while True:
            try:
                runs = _runs(host, pipeline, keys)
            except CommandError as error:  # the machine is still being installed
                runs, progress = [], error.message
            else:
                progress = _progress(runs)
            if len(runs) == len(keys) and all(map(_is_over, runs)):
                break
            if progress != seen:
                seen, last_progress = progress, time.monotonic()
                screen.show(f"Waiting for the jobs: {progress}")
            elif time.monotonic() - last_progress > _PATIENCE_SECONDS:
                raise CommandError(f"Nothing has changed for {_PATIENCE_SECONDS} s: {seen}")
            elif time.monotonic() - last_look > _LOOK_SECONDS:
                if obstacles := _obstacles(host):
                    screen.update(f"Waiting for the jobs: {'; '.join(obstacles)}")
                else:
                    screen.show(f"Waiting for the jobs: {seen}")
                last_look = time.monotonic()
            time.sleep(_POLL_SECONDS)
    for sentence in dict.fromkeys(one for run in runs for one in run["blocked"]):
        print_progress(sentence)


def _runs(host: Host, pipeline: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return how far the runs of files are, those that have begun."""
    found = [job["run"] for job in read_jobs(host, pipeline) if job["key"] in keys]
    return [ask(host, ["jobs", "run", run]) for run in dict.fromkeys(found)]


def _obstacles(host: Host) -> list[str]:
    """Return why pipelines make no passes, for example that packages are being installed."""
    try:
        pipelines = ask(host, ["status"])["pipelines"]
    except CommandError:
        return []
    obstacles = [
        each["obstacle"] for one in pipelines for each in present_machines(one["machines"])
    ]
    return [str(obstacle).rstrip(".") for obstacle in dict.fromkeys(obstacles) if obstacle]


def _is_over(run: Mapping[str, Any]) -> bool:
    """Whether a run has ended, or waits for a quarantined job only."""
    works = any(each["waiting"] or each["running"] for each in run["pipelines"])
    return run["ended"] or (bool(run["blocked"]) and not works)


def _progress(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the jobs of each pipeline: those that are done, of those that are known."""
    done: dict[str, int] = {}
    known: dict[str, int] = {}
    for run in runs:
        for each in run["pipelines"]:
            name = each["name"]
            done[name] = done.get(name, 0) + each["done"]
            states = ("waiting", "running", "done", "quarantined", "dropped")
            known[name] = known.get(name, 0) + sum(each[state] for state in states)
    return ", ".join(f"{name} {done[name]} of {known[name]}" for name in known) or _NOTHING


def read_jobs(host: Host, pipeline: str = "") -> list[dict[str, Any]]:
    """Return the jobs of a stack, or of one of its pipelines, oldest first."""
    chosen = [f"--pipeline={pipeline}"] if pipeline else []
    return [
        json.loads(line)
        for line in stream(host, ["jobs", "list", "--json", "--last=1000", *chosen])
    ]
