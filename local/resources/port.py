"""Ports of the internal network: addresses that one server at a time uses."""

import ipaddress
import secrets
from collections.abc import Iterable

from local.api import networks
from local.api.http import BAD_REQUEST, CONFLICT, NOT_FOUND
from local.api.state import Record
from local.errors import ApiError
from local.resources.resource_type import Inputs, ResourceType
from local.resources.security_group import SecurityGroup


class Port(ResourceType):
    """A port; its `deviceId` is the server that uses it."""

    collection = "ports"
    title = "Port"
    quota = "port"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return an id and a free address, or the one asked for.

        Raises:
            ApiError: 404, there is no such network or group; 400, the address is not of the
                subnet; 409, it is taken or none is free.
        """
        network = str(inputs["networkId"])
        if network != networks.internal_network(self.state)["id"]:
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
        """Change a port's groups and tags; returns its record."""
        with self.state.records.lock:
            computed = {
                **self.find(identifier)["computed"],
                "allSecurityGroupIds": self._groups(inputs),
                "allTags": inputs.get("tags") or [],
            }
            return self.save(identifier, inputs, computed)

    def attach(self, identifier: str, server: str) -> None:
        """Attach a port to a server.

        Args:
            identifier: the port's id.
            server: the server's id.

        Raises:
            ApiError: 409; a server uses the port.
        """
        record = self.find(identifier)
        if record["computed"]["deviceId"]:
            raise ApiError(CONFLICT, f"Port {identifier} is still in use.")
        self._set_device(record, server, "compute:nova")

    def detach(self, identifiers: Iterable[str]) -> None:
        """Detach ports from their servers; missing ones are ignored."""
        for identifier in identifiers:
            if record := self.read(identifier):
                self._set_device(record, "", "")

    def _set_device(self, record: Record, server: str, owner: str) -> None:
        computed = {**record["computed"], "deviceId": server, "deviceOwner": owner}
        self.save(record["id"], record["inputs"], computed)

    def _groups(self, inputs: Inputs) -> list[str]:
        asked = [str(group) for group in inputs.get("securityGroupIds") or []]
        for group in asked:
            SecurityGroup(self.state).find(group)
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
