"""Rules of security groups."""

import ipaddress
from collections.abc import Iterator, Sequence

from local.api.http import BAD_REQUEST, CONFLICT
from local.api.state import Record
from local.errors import ApiError
from local.machine.firewall import Rule
from local.resources.resource_type import Inputs, ResourceType
from local.resources.security_group import RULES, SecurityGroup

_MAX_PORT = 65535
_EVERYBODY = "0.0.0.0/0"


class SecurityGroupRule(ResourceType):
    """One kind of traffic that a group admits."""

    collection = RULES
    title = "Security group rule"
    quota = "security_group_rule"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return an id and what the cloud computes, after Neutron's checks.

        Raises:
            ApiError: 400, the rule is invalid; 404, there is no such group; 409, the group has the
                same rule.
        """
        SecurityGroup(self.state).find(str(inputs["securityGroupId"]))
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

    def open_to(self, groups: Sequence[str]) -> Iterator[Rule]:
        """Yield what groups admit over IPv4 and TCP; members of a group as their addresses now."""
        for rule in self.all():
            asked = rule["inputs"]
            kind = (asked["direction"], asked["ethertype"], asked.get("protocol") or "tcp")
            if asked["securityGroupId"] not in groups or kind != ("ingress", "IPv4", "tcp"):
                continue
            first = int(asked.get("portRangeMin") or 0)
            last = int(asked.get("portRangeMax") or (first or _MAX_PORT))
            if member_of := asked.get("remoteGroupId"):
                for address in self._members(str(member_of)):
                    yield Rule(first, last, f"{address}/32", is_member=True)
            else:
                yield Rule(first, last, str(asked.get("remoteIpPrefix") or _EVERYBODY))

    def _members(self, group: str) -> Iterator[str]:
        """Yield the addresses of a group's ports."""
        for port in self.state.records.all("ports"):
            if group in port["computed"]["allSecurityGroupIds"]:
                yield from port["computed"]["allFixedIps"]


def _check(inputs: Inputs) -> None:
    if inputs["direction"] not in ("ingress", "egress"):
        raise ApiError(BAD_REQUEST, "A rule's direction is 'ingress' or 'egress'.")
    if inputs["ethertype"] not in ("IPv4", "IPv6"):
        raise ApiError(BAD_REQUEST, "A rule's ethertype is 'IPv4' or 'IPv6'.")
    low, high = inputs.get("portRangeMin"), inputs.get("portRangeMax")
    if (low or high) and not inputs.get("protocol"):
        raise ApiError(BAD_REQUEST, "A rule with ports needs a protocol, such as 'tcp'.")
    if low and high and not 0 < low <= high <= _MAX_PORT:
        raise ApiError(BAD_REQUEST, f"{low:g}-{high:g} is not a range of ports.")
    if prefix := inputs.get("remoteIpPrefix"):
        try:
            network = ipaddress.ip_network(str(prefix), strict=False)
        except ValueError:
            raise ApiError(BAD_REQUEST, f"'{prefix}' is not a CIDR.") from None
        if f"IPv{network.version}" != inputs["ethertype"]:
            raise ApiError(BAD_REQUEST, f"'{prefix}' is not an {inputs['ethertype']} range.")


def _identity(inputs: Inputs) -> tuple[object, ...]:
    names = ("securityGroupId", "direction", "ethertype", "protocol", "portRangeMin")
    more = ("portRangeMax", "remoteIpPrefix", "remoteGroupId")
    return tuple(inputs.get(name) or None for name in (*names, *more))
