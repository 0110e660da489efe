"""How a resource's wanted inputs differ from what it is, and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.plugin.replaces import replaces

Kind = Literal["ADD", "DELETE", "UPDATE"]

#: Properties that the provider reads back from the cloud: a refresh shows what they really are, and
#: the next update compares with that, not with what was asked for last.
OBSERVED: dict[str, frozenset[str]] = {
    "openstack:objectstorage/container:Container": frozenset(("name",)),
    "openstack:compute/instance:Instance": frozenset(("powerState",)),
}


@dataclass(frozen=True)
class Change:
    """One property's change."""

    name: str
    kind: Kind
    replaces: bool


def observed(token: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` with the values that the provider reads back for those among them."""
    names = OBSERVED.get(token, frozenset())
    return {
        name: outputs[name] if name in names and outputs.get(name) is not None else value
        for name, value in inputs.items()
    }


def changes(token: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[Change]:
    """Return every top-level property that differs; what is not yet known counts as different."""
    found = []
    for name in sorted({*olds, *news}):
        old, new = olds.get(name), news.get(name)
        if old == new or name.startswith("__"):
            continue
        kind: Kind = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
        found.append(Change(name, kind, replaces(token, name)))
    return found
