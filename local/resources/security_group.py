"""Security groups: they filter what booted machines send each other (local/machine/firewall.py).

Addresses outside the internal network are all on this computer's loopback, which nothing filters.
"""

from local.api.http import CONFLICT
from local.api.state import Record
from local.errors import ApiError
from local.resources.resource_type import Inputs, ResourceType

RULES = "security-group-rules"


class SecurityGroup(ResourceType):
    """A named set of rules that ports refer to."""

    collection = "security-groups"
    title = "Security group"
    quota = "security_group"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return an id and what the cloud computes; names may repeat, as in Neutron."""
        identifier, computed = super().compute(inputs)
        tags = inputs.get("tags") or []
        return identifier, {
            **computed,
            "allTags": tags,
            "description": inputs.get("description") or "",
            "stateful": inputs.get("stateful", True),
        }

    def delete(self, identifier: str) -> None:
        """Delete a group with its rules.

        Raises:
            ApiError: 409; a port uses the group.
        """
        with self.state.records.lock:
            for port in self.state.records.all("ports"):
                if identifier in port["computed"]["allSecurityGroupIds"]:
                    raise ApiError(CONFLICT, f"Security Group {identifier} in use.")
            super().delete(identifier)
            for rule in self.state.records.all(RULES):
                if rule["inputs"]["securityGroupId"] == identifier:
                    self.state.records.remove(RULES, rule["id"])
