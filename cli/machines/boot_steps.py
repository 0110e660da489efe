"""How far a machine's first boot has come: cloud-init, then our units one after the other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

_LINES = 5
_UNITS = ("pipeline-install", "pipeline-migrate", "pipeline-worker")
_MARK = "@step "
_PROPERTIES = "ActiveState,SubState,Result,NRestarts,ExecMainExitTimestampMonotonic"
# `_SYSTEMD_UNIT` are a unit's own words; what systemd says of it is told by the properties.
SCRIPT = f"""
echo '{_MARK}cloud-init'; cat /run/cloud-init/result.json 2>/dev/null | tr -d '\\n'; echo
for unit in {" ".join(_UNITS)}; do
    echo "{_MARK}$unit"
    systemctl show -p {_PROPERTIES} $unit | tr '\\n' ' '; echo
    journalctl --no-pager --output=cat --lines={_LINES} _SYSTEMD_UNIT=$unit.service 2>/dev/null
done
"""
"""For the machine's root: prints what `obstacles` reads."""


@dataclass(frozen=True)
class Step:
    """A step that has not ended well: which, how it stands, and its last words."""

    name: str
    state: str
    lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether it has gone wrong, not only lasts."""
        return self.state.startswith(_FAILED)


def obstacles(text: str) -> list[Step]:
    """What SCRIPT printed -> the steps that fail or last; later ones wait for the first of them."""
    found = []
    for part in text.split(_MARK)[1:]:
        name, shown, *lines = [*part.splitlines(), "", ""]
        state = _cloud_init(shown) if name == "cloud-init" else _unit(shown)
        if state:
            found.append(Step(name, state, tuple(line for line in lines if line.strip())))
    waiting = [step for step in found if step.state == _NOT_YET]
    return [step for step in found if step not in waiting]


def sentences(steps: Sequence[Step]) -> list[str]:
    """For people: a line for each step, its last words below."""
    lines = []
    for step in steps:
        lines.append(f"{step.name}: {step.state}")
        lines += [f"    {line}" for line in step.lines]
    return lines


_NOT_YET, _FAILED = "not yet begun", "failed"


def _cloud_init(result: str) -> str:
    try:
        errors = json.loads(result)["v1"]["errors"]
    except (ValueError, KeyError):
        return "still at work"
    return f"{_FAILED}: {'; '.join(map(str, errors))}" if errors else ""


def _unit(shown: str) -> str:
    """ "" where it has ended well."""
    values = dict(word.split("=", 1) for word in shown.split() if "=" in word)
    result, sub = values.get("Result", ""), values.get("SubState", "")
    if sub == "auto-restart" or result not in ("success", ""):
        tries = int(values.get("NRestarts") or 0) + 1
        times = f", {tries} tries so far" if tries > 1 else ""
        return f"{_FAILED} ({result}){times}" + (
            "; is tried again" if sub == "auto-restart" else ""
        )
    if values.get("ActiveState") == "activating":
        return "at work"
    return "" if int(values.get("ExecMainExitTimestampMonotonic") or 0) else _NOT_YET
