"""How a resource's wanted inputs differ from those it has, and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.plugin.replaces import replaces

Kind = Literal["ADD", "DELETE", "UPDATE"]


@dataclass(frozen=True)
class Change:
    """One property's change."""

    name: str
    kind: Kind
    replaces: bool


def changes(token: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Change]:
    """Every top-level property that differs; what is not yet known counts as different."""
    found = []
    for name in sorted({*olds, *news}):
        old, new = olds.get(name), news.get(name)
        if old == new or name.startswith("__"):
            continue
        kind: Kind = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
        found.append(Change(name, kind, replaces(token, name)))
    return found
