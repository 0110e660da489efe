"""The text of docs/object-stores.md: written from answers, and read back."""

import re
from collections.abc import Sequence
from pathlib import Path

from cli.check_store.fact import Weight
from cli.check_store.judgement import judge, trusted
from cli.check_store.questions import FACTS, GROUPS
from tests.stores.asked import Asked

PAGE = Path(__file__).resolve().parents[2] / "docs" / "object-stores.md"
COMMAND = ".venv/bin/python -m tests.stores"

_HEAD = f"""# Object stores

What the stores that we test with do, and what that costs you. Ask your own before you trust it with
pictures:

```
./pipeline check-store --stack mine                            # the store that a stack uses
./pipeline check-store --endpoint https://a3s.fi --keys FILE   # any other
```

`FILE` has mode 0600 and the shape of `~/.aws/credentials`: a section `[default]` with
`aws_access_key_id` and `aws_secret_access_key` and, where you have the keys of a second owner (for
instance of another project), a section `[other]`. Without `--keys` the keys are taken from
`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. The check makes some buckets of its own, which are
removed at the end, also when it is interrupted. Exit code 0: nothing may be lost; 1: something may,
or does not work. `--json` prints it for machines.

This page is written by `{COMMAND}`, which asks each store just so; the tests
compare it with what the stores answer. *yes* is what Amazon S3 does, *–* was not asked: a feature,
or a second owner, is missing.

Allas is Ceph RGW, though perhaps of another version than Debian's, which is asked here. moto and
rclone are what the pipeline uses on your own machine: nobody but you shall reach them.
"""
_WEIGHTS = {
    Weight.BREAKS: "Does not work",
    Weight.LOSES: "May be lost",
    Weight.LESS: "Good to know",
}


def render(columns: Sequence[Asked]) -> str:
    """The whole page."""
    names = [f"{one.name} {one.version}" for one in columns]
    parts = [_HEAD]
    for group, facts in GROUPS.items():
        rows = [["", *names], ["---"] * (1 + len(names))]
        rows += [[fact.question, *(one.answers[fact.name] for one in columns)] for fact in facts]
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("|  |", "| |")
        parts.append(f"## {group}\n\n{lines}")
    parts.append("# What you lose\n")
    parts += [_losses(one) for one in columns]
    return "\n".join(parts)


def _losses(asked: Asked) -> str:
    findings = judge(FACTS, asked.answers)
    verdict = (
        "Pictures are safe there." if trusted(findings) else "Not for pictures that others reach."
    )
    text = f"## On {asked.name}\n\n{verdict}\n"
    for weight, title in _WEIGHTS.items():
        some = [one for one in findings if one.loss.weight is weight]
        lines = (f"- {one.loss.sentence} *{one.fact.question}: {one.answer}.*\n" for one in some)
        text += f"\n**{title}**\n\n{''.join(lines)}" if some else ""
    return text


def read(text: str) -> list[Asked]:
    """What the page's tables say."""
    rows = [re.split(r" ?\| ?", line.strip("|\n ")) for line in text.splitlines() if "|" in line]
    heads = next(row for row in rows if "---" not in row)
    questions = {fact.question: fact.name for fact in FACTS}
    found = []
    for number, head in enumerate(heads):
        name, _, version = head.rpartition(" ")
        answers = {questions[row[0]]: row[number + 1] for row in rows if row[0] in questions}
        found.append(Asked(name, version, answers))
    return found


def column(text: str, name: str) -> Asked:
    """What the page says of one store."""
    return next(one for one in read(text) if one.name == name)
