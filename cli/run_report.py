"""Runs as text: how far each is, side by side, and what blocks them."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from cli.job_report import SHOWN_LINES
from cli.terminal import print_section, print_table
from worker.quantities import counted
from worker.uploads.job import short_id

_STATES = ("done", "quarantined", "dropped", "running", "waiting")
_Run = Mapping[str, Any]


def print_runs(runs: Sequence[_Run]) -> None:
    """Print a column for each run, then what blocks them, then what configured them."""
    print_table(_rows(runs), ["run", *(short_id(one["run"]) for one in runs)])
    blocked = dict.fromkeys(sentence for one in runs for sentence in one["blocked"])
    print_section("blocked", list(blocked))
    print_section("quarantined", [_remedy(one) for one in runs if one["ended"] and _refused(one)])
    print_section(*_configuration(runs), limit=SHOWN_LINES)


def _rows(runs: Sequence[_Run]) -> Iterator[list[str]]:
    yield ["input", *(f"{one['pipeline'] or ''}: {one['key'] or ''}" for one in runs)]
    yield ["uploaded", *(one["uploaded"] or "" for one in runs)]
    yield ["last change", *(one["changed"] or "" for one in runs)]
    counts = [{each["name"]: each for each in one["pipelines"]} for one in runs]
    waits = [{each["pipeline"]: each["waits_for"] for each in one["gathers"]} for one in runs]
    names = dict.fromkeys(name for each in (*counts, *waits) for name in each)
    for name in names:
        cells = zip(counts, waits, strict=True)
        yield [name, *(_cell(count.get(name), wait.get(name)) for count, wait in cells)]
    yield ["state", *(_state(one) for one in runs)]


def _cell(count: Mapping[str, int] | None, waits_for: int | None) -> str:
    parts = [f"{count[state]} {state}" for state in _STATES if count[state]] if count else []
    if waits_for:
        parts.append(f"waits for {counted(waits_for, 'job')}")
    elif waits_for == 0:
        parts.append("due")
    return ", ".join(parts)


def _state(run: _Run) -> str:
    if run["ended"]:
        return f"ended, {_refused(run)} quarantined" if _refused(run) else "ended"
    is_busy = any(one["running"] or one["waiting"] for one in run["pipelines"])
    return "blocked" if run["blocked"] and not is_busy else "in progress"


def _refused(run: _Run) -> int:
    """Return how many jobs of a run are quarantined."""
    return sum(one["quarantined"] for one in run["pipelines"])


def _remedy(run: _Run) -> str:
    short = short_id(run["run"])
    return (
        f"`jobs --run {short} --state quarantined` shows why; `jobs retry --run {short}` processes "
        f"them again, `jobs drop --run {short}` deletes them."
    )


def _configuration(runs: Sequence[_Run]) -> tuple[str, list[str]]:
    """Return the text of one run's first upload; of several, how the others differ from it."""
    texts = [(one["text"] or "").splitlines() for one in runs]
    if len(runs) == 1:
        return "configuration", texts[0]
    names = [short_id(one["run"]) for one in runs]
    differences = [
        line
        for name, text in zip(names[1:], texts[1:], strict=True)
        for line in unified_diff(texts[0], text, names[0], name, n=1, lineterm="")
    ]
    return "difference of the configurations", differences
