"""The guides explain their terms and name commands that exist; costs come from their table."""

import re

import click
import pytest

from cli.commands import Commands
from cli.cost import of_stack
from cli.errors import CommandError
from tests.checkout import PROJECT

DOCS = PROJECT / "docs"


def terms() -> list[str]:
    """First column of the table of the user's guide's terms."""
    guide = (DOCS / "glossary.md").read_text().split("\n## ")[1]
    rows = re.findall(r"^\| ([^|]+?) \|", guide, re.MULTILINE)
    return rows[1:]


def test_each_term_is_explained_where_it_is_first_used() -> None:
    text = (DOCS / "csc.md").read_text()
    assert len(terms()) > 10
    unexplained = []
    for term in terms():
        first = re.search(rf"(?<![\w/.-]){re.escape(term)}", text.split("\n", 1)[1], re.IGNORECASE)
        explained = re.compile(rf"\*\*{re.escape(term)}\*\*\w?\s+\(")
        at = text.index("\n") + 1 + first.start() - 2 if first else 0
        if not explained.match(text, at):
            unexplained.append(term)
    assert unexplained == []


def test_cost_is_the_sum_of_prices() -> None:
    settings = {
        "machines": 3,
        "flavor": "standard.tiny",
        "databaseFlavor": "standard.small",
        "databaseVolumeSize": 10,
    }
    assert sum(item.hourly for item in of_stack(settings)) == 3 * 0.25 + 0.2 + 2 + 10 * 0.01


def test_a_flavor_without_a_price_is_not_guessed() -> None:
    machine = of_stack({"flavor": "huge", "databaseFlavor": "standard.small"})[0]
    assert (machine.rate, machine.hourly) == (None, 0.0)


@pytest.mark.parametrize("value", ["two", 1.5, {"secure": "v1:x"}])
@pytest.mark.parametrize("setting", ["machines", "databaseVolumeSize"])
def test_cost_of_a_number_that_is_none(setting: str, value: object) -> None:
    with pytest.raises(CommandError, match=rf"^{setting} is .*: set it to a whole number\.$"):
        of_stack({setting: value})


def fault(words: list[str]) -> str:
    """Return what click does not know of a command line, "" if it knows all of it."""
    command: click.Command = Commands("pipeline")
    for number, word in enumerate(words):
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            return f"{' '.join(words[: number + 1])} is not a command"
        command = found
    if isinstance(command, click.Group):
        command = command.commands["list"]  # the default of `jobs`
    known = {name for each in command.params for name in each.opts}
    unknown = [word for word in words if word.startswith("-") and word not in known]
    return f"{' '.join(words)}: {', '.join(unknown)} is unknown" if unknown else ""


def test_commands_named_beside_pachyderms_exist() -> None:
    table = (DOCS / "compared.md").read_text().split("## Commands")[1].split("\n## ")[0]
    cells = re.findall(r"^\| `[^|]+\| ([^|]+) \|$", table, re.MULTILINE)
    others = {"pulumi", "rclone"}
    named = [
        words
        for cell in cells
        for text in re.findall(r"`([^`]+)`", cell)
        if (words := text.split())[0] not in others and text[0].isalpha()
    ]
    assert len(named) > 25
    assert [found for words in named if (found := fault(words))] == []
