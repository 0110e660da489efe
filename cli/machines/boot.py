"""Progress of a machine's first boot: cloud-init, then the pipeline's units one after the other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

_LINES = 5
_UNITS = "pipeline-install.service pipeline-migrate.service"
# systemd lists them once they were started, workers once their timers are.
_OF_ALL = (
    "'pipeline-prepare@*.service' 'pipeline-worker@*.service' pipeline-web.service "
    "pipeline-proxy.service pipeline-broker.service pipeline-ingest.service"
)
_MARK = "@step "
_PROPERTIES = "ActiveState,SubState,Result,NRestarts,ExecMainExitTimestampMonotonic"
_NOT_STARTED, _FAILED = "not started", "failed"
#: Shell script for the machine's root; `unfinished_steps` reads its output. The journal is filtered
#: by `_SYSTEMD_UNIT`, which leaves out systemd's own lines: the properties replace them.
SCRIPT = f"""
echo '{_MARK}cloud-init'; cat /run/cloud-init/result.json 2>/dev/null | tr -d '\\n'; echo
for unit in {_UNITS} $(systemctl list-units -a --plain --no-legend {_OF_ALL} | cut -d ' ' -f 1)
do
    echo "{_MARK}${{unit%.service}}"
    systemctl show -p {_PROPERTIES} $unit | tr '\\n' ' '; echo
    journalctl --no-pager --output=cat --lines={_LINES} _SYSTEMD_UNIT=$unit 2>/dev/null
done
"""


@dataclass(frozen=True)
class Step:
    """A step of the boot that has not succeeded.

    Attributes:
        name: "cloud-init" or a unit.
        state: "running", "failed (exit-code), 3 tries so far; retrying" and the like.
        lines: The last lines of its log.
    """

    name: str
    state: str
    lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether it has failed; otherwise it still runs."""
        return self.state.startswith(_FAILED)


def unfinished_steps(output: str) -> list[Step]:
    """Return the steps that failed or run; later ones wait for the first of them.

    Args:
        output: What SCRIPT has printed.
    """
    found = []
    for part in output.split(_MARK)[1:]:
        name, shown, *lines = [*part.splitlines(), "", ""]
        state = _cloud_init_state(shown) if name == "cloud-init" else _unit_state(shown)
        if state:
            found.append(Step(name, state, tuple(line for line in lines if line.strip())))
    return [step for step in found if step.state != _NOT_STARTED]


def describe(steps: Sequence[Step]) -> list[str]:
    """Return a line for each step, followed by the last lines of its log."""
    lines = []
    for step in steps:
        lines.append(f"{step.name}: {step.state}")
        lines += [f"    {line}" for line in step.lines]
    return lines


def _cloud_init_state(result: str) -> str:
    try:
        errors = json.loads(result)["v1"]["errors"]
    except (ValueError, KeyError):
        return "running"
    return f"{_FAILED}: {'; '.join(map(str, errors))}" if errors else ""


def _unit_state(shown: str) -> str:
    """Return a unit's state from `systemctl show`, "" where it has succeeded."""
    values = dict(word.split("=", 1) for word in shown.split() if "=" in word)
    result, sub = values.get("Result", ""), values.get("SubState", "")
    if sub == "auto-restart" or result not in ("success", ""):
        tries = int(values.get("NRestarts") or 0) + 1
        times = f", {tries} tries so far" if tries > 1 else ""
        return f"{_FAILED} ({result}){times}" + ("; retrying" if sub == "auto-restart" else "")
    if values.get("ActiveState") == "activating":
        return "running"
    return "" if int(values.get("ExecMainExitTimestampMonotonic") or 0) else _NOT_STARTED
