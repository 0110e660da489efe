"""A port of the internal network: an address that one machine holds at a time."""

import ipaddress
import secrets
from collections.abc import Iterable

from local.api.http import BAD_REQUEST, CONFLICT, NOT_FOUND, ApiError
from local.api.records import Record
from local.resources import networks
from local.resources.base import Inputs, Kind
from local.resources.security_group import SecurityGroup


class Port(Kind):
    """`deviceId` is the machine that holds it."""

    records = "ports"
    title = "Port"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Its network and groups must exist; it gets a free address unless one is asked for."""
        network = str(inputs["networkId"])
        if network != networks.internal(self.cloud)["id"]:
            raise ApiError(NOT_FOUND, f"Network {network} could not be found.")
        identifier, computed = super().compute(inputs)
        asked = [fixed.get("ipAddress") for fixed in inputs.get("fixedIps") or [{}]]
        return identifier, {
            **computed,
            "allFixedIps": [self._address(address) for address in asked],
            "allSecurityGroupIds": self._groups(inputs),
            "allTags": inputs.get("tags") or [],
            "adminStateUp": inputs.get("adminStateUp", True),
            "macAddress": inputs.get("macAddress") or f"fa:16:3e:{_octets(3)}",
            "deviceId": inputs.get("deviceId") or "",
            "deviceOwner": inputs.get("deviceOwner") or "",
        }

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Groups change in place; its address stays."""
        with self.cloud.records.lock:
            computed = {
                **self.find(identifier)["computed"],
                "allSecurityGroupIds": self._groups(inputs),
                "allTags": inputs.get("tags") or [],
            }
            return self.keep(identifier, inputs, computed)

    def hold(self, identifier: str, machine: str) -> None:
        """Give it to a machine; refused while another holds it."""
        record = self.find(identifier)
        if record["computed"]["deviceId"]:
            raise ApiError(CONFLICT, f"Port {identifier} is still in use.")
        self._held_by(record, machine, "compute:nova")

    def release(self, identifiers: Iterable[str]) -> None:
        """Take them from whoever holds them."""
        for identifier in identifiers:
            if record := self.read(identifier):
                self._held_by(record, "", "")

    def _held_by(self, record: Record, machine: str, owner: str) -> None:
        computed = {**record["computed"], "deviceId": machine, "deviceOwner": owner}
        self.keep(record["id"], record["inputs"], computed)

    def _groups(self, inputs: Inputs) -> list[str]:
        asked = [str(group) for group in inputs.get("securityGroupIds") or []]
        for group in asked:
            SecurityGroup(self.cloud).find(group)
        return asked

    def _address(self, asked: str | None) -> str:
        taken = {address for port in self.all() for address in port["computed"]["allFixedIps"]}
        hosts = [str(host) for host in ipaddress.ip_network(networks.INTERNAL_CIDR).hosts()]
        if asked:
            if asked not in hosts:
                raise ApiError(BAD_REQUEST, f"IP address {asked} is not of the subnet.")
            if asked in taken:
                raise ApiError(CONFLICT, f"IP address {asked} already allocated.")
            return asked
        free = [host for host in hosts[9:250] if host not in taken]
        if not free:
            raise ApiError(CONFLICT, "No more IP addresses available on the network.")
        return free[0]


def _octets(count: int) -> str:
    return ":".join(f"{byte:02x}" for byte in secrets.token_bytes(count))
