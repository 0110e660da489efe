"""Security groups and their rules; nominal here, where everything is on loopback."""

import ipaddress

from local.api.http import BAD_REQUEST, CONFLICT, ApiError
from local.api.records import Record
from local.resources.base import Inputs, Kind

RULES = "security-group-rules"
MAX_PORT = 65535


class SecurityGroup(Kind):
    """A named set of rules that ports refer to."""

    records = "security-groups"
    title = "Security group"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Any number may have one name, as in Neutron."""
        identifier, computed = super().compute(inputs)
        tags = inputs.get("tags") or []
        return identifier, {
            **computed,
            "allTags": tags,
            "description": inputs.get("description") or "",
            "stateful": inputs.get("stateful", True),
        }

    def delete(self, identifier: str) -> None:
        """Its rules go with it; a group that a port uses stays."""
        with self.cloud.records.lock:
            for port in self.cloud.records.all("ports"):
                if identifier in port["computed"]["allSecurityGroupIds"]:
                    raise ApiError(CONFLICT, f"Security Group {identifier} in use.")
            super().delete(identifier)
            for rule in self.cloud.records.all(RULES):
                if rule["inputs"]["securityGroupId"] == identifier:
                    self.cloud.records.remove(RULES, rule["id"])


class SecurityGroupRule(Kind):
    """One kind of traffic that a group lets through."""

    records = RULES
    title = "Security group rule"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Neutron's own checks; the same rule twice is refused."""
        SecurityGroup(self.cloud).find(str(inputs["securityGroupId"]))
        _check(inputs)
        identity = _identity(inputs)
        for rule in self.all():
            if _identity(rule["inputs"]) == identity:
                raise ApiError(
                    CONFLICT, f"Security group rule already exists. Rule id is {rule['id']}."
                )
        identifier, computed = super().compute(inputs)
        return identifier, {
            **computed,
            "portRangeMin": inputs.get("portRangeMin") or 0,
            "portRangeMax": inputs.get("portRangeMax") or 0,
            "protocol": inputs.get("protocol") or "",
            "remoteIpPrefix": inputs.get("remoteIpPrefix") or "",
            "remoteGroupId": inputs.get("remoteGroupId") or "",
        }


def _check(inputs: Inputs) -> None:
    if inputs["direction"] not in ("ingress", "egress"):
        raise ApiError(BAD_REQUEST, "A rule's direction is 'ingress' or 'egress'.")
    if inputs["ethertype"] not in ("IPv4", "IPv6"):
        raise ApiError(BAD_REQUEST, "A rule's ethertype is 'IPv4' or 'IPv6'.")
    low, high = inputs.get("portRangeMin"), inputs.get("portRangeMax")
    if (low or high) and not inputs.get("protocol"):
        raise ApiError(BAD_REQUEST, "A rule with ports needs a protocol, such as 'tcp'.")
    if low and high and not 0 < low <= high <= MAX_PORT:
        raise ApiError(BAD_REQUEST, f"{low:g}-{high:g} is no range of ports.")
    if prefix := inputs.get("remoteIpPrefix"):
        try:
            network = ipaddress.ip_network(str(prefix), strict=False)
        except ValueError:
            raise ApiError(BAD_REQUEST, f"'{prefix}' is no CIDR.") from None
        if f"IPv{network.version}" != inputs["ethertype"]:
            raise ApiError(BAD_REQUEST, f"'{prefix}' is not of {inputs['ethertype']}.")


def _identity(inputs: Inputs) -> tuple[object, ...]:
    names = ("securityGroupId", "direction", "ethertype", "protocol", "portRangeMin")
    more = ("portRangeMax", "remoteIpPrefix", "remoteGroupId")
    return tuple(inputs.get(name) or None for name in (*names, *more))
