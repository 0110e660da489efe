"""The text of docs/object-stores.md: written from results, and read back."""

import re
from collections.abc import Sequence
from pathlib import Path

from cli.check_store.check import Severity, find, is_safe
from cli.check_store.checks import CHECKS, GROUPS
from tests.stores.checked import Checked

PAGE = Path(__file__).resolve().parents[2] / "docs" / "object-stores.md"
COMMAND = ".venv/bin/python -m tests.stores"

_HEAD = f"""# Object stores

What the object stores of our tests do, and what that means for you. Check your own before you trust
it with photos:

```
./pipeline check-store --stack mine                            # the store of a stack
./pipeline check-store --endpoint https://a3s.fi --keys FILE   # any other
```

`FILE` has mode 0600 and the format of `~/.aws/credentials`: a section `[default]` with
`aws_access_key_id` and `aws_secret_access_key` and, where you have the keys of a second owner (for
instance of another project), a section `[other]`. Without `--keys` the keys are taken from
`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. The check creates temporary buckets, and deletes
them at the end, also when it is interrupted. Exit code 0: nothing can be lost; 1: something can, or
does not work. `--json` prints JSON.

This page is written by `{COMMAND}`, which runs the same checks; the tests
compare it with the stores. *yes* is what Amazon S3 does; *–* was not checked, because a feature
or a second owner is missing.

Allas is Ceph RGW, perhaps of another version than the one checked here (Debian's). moto and rclone
are what the pipeline uses on your own computer: no other computer may reach them.
"""
_TITLES = {
    Severity.BROKEN: "Does not work",
    Severity.DATA_LOSS: "May be lost",
    Severity.NOTE: "Good to know",
}


def render(columns: Sequence[Checked]) -> str:
    """Return the whole page."""
    names = [f"{one.name} {one.version}" for one in columns]
    parts = [_HEAD]
    for group, checks in GROUPS.items():
        rows = [["", *names], ["---"] * (1 + len(names))]
        rows += [
            [check.statement, *(one.results[check.name] for one in columns)] for check in checks
        ]
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("|  |", "| |")
        parts.append(f"## {group}\n\n{lines}")
    parts.append("# What it means for you\n")
    parts += [_findings(one) for one in columns]
    return "\n".join(parts)


def _findings(checked: Checked) -> str:
    findings = find(CHECKS, checked.results)
    verdict = (
        "Photos are safe there." if is_safe(findings) else "Not for photos that others can reach."
    )
    text = f"## On {checked.name}\n\n{verdict}\n"
    for severity, title in _TITLES.items():
        some = [one for one in findings if one.consequence.severity is severity]
        lines = (
            f"- {one.consequence.sentence} *{one.check.statement}: {one.result}.*\n" for one in some
        )
        text += f"\n**{title}**\n\n{''.join(lines)}" if some else ""
    return text


def read(text: str) -> list[Checked]:
    """Return the results in the page's tables."""
    rows = [re.split(r" ?\| ?", line.strip("|\n ")) for line in text.splitlines() if "|" in line]
    heads = next(row for row in rows if "---" not in row)
    statements = {check.statement: check.name for check in CHECKS}
    found = []
    for number, head in enumerate(heads):
        name, _, version = head.rpartition(" ")
        results = {statements[row[0]]: row[number + 1] for row in rows if row[0] in statements}
        found.append(Checked(name, version, results))
    return found


def column(text: str, name: str) -> Checked:
    """Return the results of one store in the page."""
    return next(one for one in read(text) if one.name == name)
