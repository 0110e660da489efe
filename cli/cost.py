"""What a stack costs: the prices in prices.toml times the stack's settings."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.terminal import print_progress, print_table
from infra.settings.declared import defaults

PRICES = Path(__file__).parent / "prices.toml"
#: A month is a twelfth of a year.
HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Item:
    """One line of the bill.

    Attributes:
        resource: "machine", "database" and the like.
        of: The flavor, or the unit.
        amount: How many units.
        rate: Billing units an hour for each, None where no price is known.
    """

    resource: str
    of: str
    amount: int
    rate: float | None

    @property
    def hourly(self) -> float:
        """Billing units an hour, 0 where no price is known."""
        return self.amount * (self.rate or 0.0)


def prices() -> dict[str, dict[str, float]]:
    """Return billing units an hour by resource, then by flavor or unit."""
    return tomllib.loads(PRICES.read_text(encoding="utf-8"))


def of_stack(settings: Mapping[str, Any]) -> list[Item]:
    """Return the bill of a stack with these settings, by prices.toml.

    Raises:
        CommandError: A setting that must be a whole number is not one.
    """
    wanted, known = defaults() | {name: str(value) for name, value in settings.items()}, prices()
    parts = [
        ("machine", wanted["flavor"], _whole(wanted, "machines")),
        ("floating IP", "each", 1),
    ]
    if wanted["database"] != "existing":
        parts += [
            ("database", wanted["databaseFlavor"], 1),
            ("database volume", "GiB", _whole(wanted, "databaseVolumeSize")),
        ]
    return [Item(name, of, amount, known.get(name, {}).get(of)) for name, of, amount in parts]


def print_bill(bill: Sequence[Item]) -> None:
    """Print the bill, and what the estimate is based on."""
    heading = ("resource", "BU an hour", "BU a month")
    print_table(_rows(bill), heading, right={1, 2})
    print_progress(
        "Estimated by docs/costs.md (with source and date); stored objects are not included."
    )


def _whole(settings: Mapping[str, str], name: str) -> int:
    try:
        return int(settings[name])
    except ValueError:
        raise CommandError(f"{name} is {settings[name]!r}: set it to a whole number.") from None


def _rows(bill: Sequence[Item]) -> Iterator[tuple[str, str, str]]:
    for item in bill:
        times = "" if item.of == "GiB" else " ×"
        amount = f"{item.amount}{times} " if item.amount > 1 else ""
        what = item.resource if item.of == "each" else f"{item.resource} {amount}{item.of}"
        if item.rate is None:
            yield what, "unknown", ""
        else:
            yield what, *_amounts(item.hourly)
    yield "total", *_amounts(sum(item.hourly for item in bill))


def _amounts(hourly: float) -> tuple[str, str]:
    return f"{hourly:.2f}", f"{hourly * HOURS_A_MONTH:.0f}"
