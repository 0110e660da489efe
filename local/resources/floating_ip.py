"""Floating IPs: addresses of the loopback network that nothing listens on."""

import secrets

from local.api import networks
from local.api.http import NOT_FOUND
from local.api.state import Record
from local.errors import ApiError
from local.resources.resource_type import Inputs, ResourceType


class FloatingIp(ResourceType):
    """An address that belongs to the project until it is deleted."""

    collection = "floating-ips"
    title = "Floating IP"
    quota = "floatingip"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return an id and a free address, after a check of pool and quota.

        Raises:
            ApiError: 404, there is no such pool; 409, the quota is exceeded.
        """
        pool = inputs.get("pool") or networks.EXTERNAL
        if pool != networks.EXTERNAL:
            raise ApiError(
                NOT_FOUND, f"Network {pool} could not be found: the pool is {networks.EXTERNAL}."
            )
        taken = {record["computed"]["address"] for record in self.all()}
        while (address := _loopback_address()) in taken:
            pass
        identifier, computed = super().compute(inputs)
        return identifier, {
            **computed,
            "pool": pool,
            "address": address,
            "fixedIp": "",
            "portId": "",
            "dnsName": inputs.get("dnsName") or "",
            "dnsDomain": inputs.get("dnsDomain") or "",
            "allTags": inputs.get("tags") or [],
        }


def _loopback_address() -> str:
    low, high = 1, 254
    octets = [low + secrets.randbelow(high) for _ in range(2)]
    return f"127.0.{octets[0]}.{octets[1]}"
