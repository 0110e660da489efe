"""What a stack costs: the table in docs/costs.md times the stack's settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from cli.paths import CHECKOUT

TABLE = CHECKOUT / "docs" / "costs.md"
#: A month is a twelfth of a year.
HOURS_A_MONTH = 730
_ROW = re.compile(r"^\| *([\w ]+?) *\| *([\w.]+) *\| *([\d.]+) *\|$", re.MULTILINE)
NOTE = "An estimate, by docs/costs.md (source and date there); without what lies in the buckets."


@dataclass(frozen=True)
class Item:
    """One line of the bill; `rate` in billing units an hour, None where no figure is known."""

    resource: str
    of: str
    amount: int
    rate: float | None

    @property
    def hourly(self) -> float:
        """Billing units an hour; nothing where no figure is known."""
        return self.amount * (self.rate or 0.0)


def rates(text: str) -> dict[tuple[str, str], float]:
    """(resource, kind) -> billing units an hour, from the document's table."""
    return {(name, of): float(rate) for name, of, rate in _ROW.findall(text)}


def items(settings: Mapping[str, str], known: Mapping[tuple[str, str], float]) -> list[Item]:
    """The bill of a stack with these settings, as they stand with defaults filled in."""
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


def table(bill: Sequence[Item]) -> Table:
    """The bill as people read it."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("resource")
    for name in ("BU an hour", "BU a month"):
        grid.add_column(name, justify="right")
    for item in bill:
        amount = f"{item.amount} " if item.amount > 1 else ""
        what = item.resource if item.of == "each" else f"{item.resource} {amount}{item.of}"
        known = item.rate is not None
        hour, month = f"{item.hourly:.2f}", f"{item.hourly * HOURS_A_MONTH:.0f}"
        grid.add_row(what, *((hour, month) if known else ("not in the table", "")))
    total = sum(item.hourly for item in bill)
    grid.add_row("all that is known", f"{total:.2f}", f"{total * HOURS_A_MONTH:.0f}")
    return grid


def of_stack(settings: Mapping[str, str]) -> list[Item]:
    """The bill by the document in the checkout."""
    return items(settings, rates(TABLE.read_text(encoding="utf-8")))
