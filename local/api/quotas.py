"""What a project may have at most: cPouta's and Pukki's defaults, changed as an admin would.

PUT os-quota-sets (Nova), quotas (Neutron), mgmt/quotas (Trove); -1 is no limit.
"""

from local.api.cloud import Cloud
from local.api.records import Record

QUOTAS = "quotas"
DEFAULTS: dict[str, dict[str, int]] = {
    "compute": {"instances": 8, "cores": 8, "ram": 32000},
    "network": {"floatingip": 2},
    "database": {"instances": 5, "volumes": 50},
}


class Quotas:
    """By service: "compute", "network" or "database"."""

    def __init__(self, cloud: Cloud) -> None:
        self._records = cloud.records

    def of(self, service: str) -> dict[str, int]:
        """What holds now."""
        return {**DEFAULTS[service], **(self._records.get(QUOTAS, service) or {})}

    def change(self, service: str, asked: Record) -> dict[str, int]:
        """Other limits, those not named left as they are."""
        known = {name: int(asked[name]) for name in DEFAULTS[service] if name in asked}
        self._records.put(QUOTAS, service, {**self.of(service), **known})
        return self.of(service)

    def over(self, service: str, wanted: dict[str, int]) -> list[str]:
        """The names of which there would be more than allowed; `wanted`: name -> all of it."""
        limits = self.of(service)
        return [name for name, amount in wanted.items() if 0 <= limits[name] < amount]
