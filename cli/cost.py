"""What a stack costs: the table in docs/costs.md times the stack's settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.paths import CHECKOUT
from cli.terminal import print_progress, print_table
from infra.settings.declared import defaults

TABLE = CHECKOUT / "docs" / "costs.md"
#: A month is a twelfth of a year.
HOURS_A_MONTH = 730
_ROW = re.compile(r"^\| *([\w ]+?) *\| *([\w.]+) *\| *([\d.]+) *\|$", re.MULTILINE)


@dataclass(frozen=True)
class Item:
    """One line of the bill.

    Attributes:
        resource: What is billed: machine, floating IP, database, database volume.
        of: The flavor or the unit.
        amount: How many.
        rate: Billing units an hour for one, None if the table has no figure.
    """

    resource: str
    of: str
    amount: int
    rate: float | None

    @property
    def hourly(self) -> float:
        """Billing units an hour, 0 if the table has no figure."""
        return self.amount * (self.rate or 0.0)


def rates(text: str) -> dict[tuple[str, str], float]:
    """Return billing units an hour by (resource, flavor or unit), from the text of the table."""
    return {(name, of): float(rate) for name, of, rate in _ROW.findall(text)}


def items(settings: Mapping[str, str], known: Mapping[tuple[str, str], float]) -> list[Item]:
    """Return the bill of a stack.

    Args:
        settings: All settings, defaults included.
        known: The rates by (resource, flavor or unit).
    """
    wanted = [
        ("machine", settings["flavor"], 1),
        ("floating IP", "each", 1),
    ]
    made = [
        ("database", settings["databaseFlavor"], 1),
        ("database volume", "GiB", int(settings["databaseVolumeSize"])),
    ]
    if settings.get("database") == "existing":
        made = []
    return [Item(name, of, amount, known.get((name, of))) for name, of, amount in wanted + made]


def print_bill(bill: Sequence[Item]) -> None:
    """Print the bill, and what the estimate is based on."""
    heading = ("resource", "BU an hour", "BU a month")
    print_table(_rows(bill), heading, right={1, 2})
    print_progress(
        "Estimated by docs/costs.md (with source and date); stored objects are not included."
    )


def _rows(bill: Sequence[Item]) -> Iterator[tuple[str, str, str]]:
    for item in bill:
        amount = f"{item.amount} " if item.amount > 1 else ""
        what = item.resource if item.of == "each" else f"{item.resource} {amount}{item.of}"
        if item.rate is None:
            yield what, "not in the table", ""
        else:
            yield what, *_amounts(item.hourly)
    yield "total", *_amounts(sum(item.hourly for item in bill))


def _amounts(hourly: float) -> tuple[str, str]:
    return f"{hourly:.2f}", f"{hourly * HOURS_A_MONTH:.0f}"


def of_stack(settings: Mapping[str, Any]) -> list[Item]:
    """Return the bill of a stack with these settings, by the table in the checkout."""
    complete = defaults() | {name: str(value) for name, value in settings.items()}
    return items(complete, rates(TABLE.read_text(encoding="utf-8")))
