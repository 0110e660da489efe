"""The guides explain their terms, and costs come from their table."""

import re

from cli.cost import items, prices
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
        "flavor": "standard.tiny",
        "databaseFlavor": "standard.small",
        "databaseVolumeSize": "10",
    }
    assert sum(item.hourly for item in items(settings, prices())) == 0.25 + 0.2 + 2 + 10 * 0.01


def test_a_flavor_without_a_price_is_not_guessed() -> None:
    settings = {"flavor": "huge", "databaseFlavor": "standard.small", "databaseVolumeSize": "1"}
    machine = items(settings, prices())[0]
    assert (machine.rate, machine.hourly) == (None, 0.0)
