"""The project's quotas: cPouta's, Pukki's and Neutron's defaults, changed as administrators do.

PUT os-quota-sets (Nova), quotas (Neutron), mgmt/quotas (Trove); -1 means no limit.
"""

from local.api.state import CloudState, Record

QUOTAS = "quotas"
DEFAULTS: dict[str, dict[str, int]] = {
    "compute": {"instances": 8, "cores": 8, "ram": 32000},
    "network": {"floatingip": 2, "port": 500, "security_group": 10, "security_group_rule": 100},
    "database": {"instances": 5, "volumes": 50},
}


class Quotas:
    """The limits of each service: `compute`, `network` or `database`."""

    def __init__(self, state: CloudState) -> None:
        self._records = state.records

    def of(self, service: str) -> dict[str, int]:
        """Return the limits of a service."""
        return {**DEFAULTS[service], **(self._records.get(QUOTAS, service) or {})}

    def change(self, service: str, limits: Record) -> dict[str, int]:
        """Change limits of a service.

        Args:
            service: whose limits.
            limits: the new ones; unknown names are ignored.

        Returns:
            All limits of the service.
        """
        known = {name: int(limits[name]) for name in DEFAULTS[service] if name in limits}
        self._records.put(QUOTAS, service, {**self.of(service), **known})
        return self.of(service)

    def exceeded(self, service: str, totals: dict[str, int]) -> list[str]:
        """Return the names of the limits that these totals would exceed."""
        limits = self.of(service)
        return [name for name, total in totals.items() if 0 <= limits[name] < total]
