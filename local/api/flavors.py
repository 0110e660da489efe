"""The flavors: of servers as on cPouta, of databases as on Pukki."""

from dataclasses import dataclass
from typing import Any

from local.api.state import CloudState


@dataclass(frozen=True)
class Flavor:
    """A size: cores, memory in MiB, disk in GiB."""

    name: str
    vcpus: int
    ram: int
    disk: int


COMPUTE = (
    Flavor("standard.tiny", 1, 1000, 80),
    Flavor("standard.small", 2, 2000, 80),
    Flavor("standard.medium", 3, 4000, 80),
    Flavor("standard.large", 4, 8000, 80),
    Flavor("standard.xlarge", 6, 15000, 80),
)
DATABASE = (
    Flavor("standard.small", 2, 4096, 0),
    Flavor("standard.medium", 4, 8192, 0),
    Flavor("standard.large", 8, 16384, 0),
)


def compute(state: CloudState) -> list[dict[str, Any]]:
    """Return Nova's view of its flavors."""
    return [_view(state, "compute", flavor) for flavor in COMPUTE]


def database(state: CloudState) -> list[dict[str, Any]]:
    """Return Trove's view of its flavors: `id` is for numbers only (trove/flavor/views.py)."""
    return [{**_view(state, "database", flavor), "id": None} for flavor in DATABASE]


def find(flavors: list[dict[str, Any]], identifier: str) -> dict[str, Any] | None:
    """Return the flavor with this id, None if there is none."""
    return next((flavor for flavor in flavors if flavor["str_id"] == identifier), None)


def _view(state: CloudState, service: str, flavor: Flavor) -> dict[str, Any]:
    return {
        "id": state.fixed_id(f"{service}/{flavor.name}"),
        "str_id": state.fixed_id(f"{service}/{flavor.name}"),
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "swap": "",
        "links": [],
        "os-flavor-access:is_public": True,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "rxtx_factor": 1.0,
    }
