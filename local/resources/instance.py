"""Virtual machines; their kind is saved in the cloud's folder (local/machine/kinds.py)."""

import hashlib
from typing import Any

from local.api import flavors, glance, networks
from local.api.http import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND
from local.api.quotas import Quotas
from local.api.state import REGION, Record, new_id, now
from local.errors import ApiError
from local.machine import kinds, machine, user_data
from local.machine.firewall import Interface
from local.resources.keypair import Keypair
from local.resources.port import Port
from local.resources.resource_type import Inputs, ResourceType
from local.resources.security_group_rule import SecurityGroupRule

ACTIVE, SHUT_OFF = "active", "shutoff"
"""The provider's values of `powerState`."""
VM_STATES = {ACTIVE: "active", SHUT_OFF: "stopped"}
"""Nova's names of the same states."""


class Instance(ResourceType):
    """A server: checked as Nova checks it, ACTIVE as soon as its process runs."""

    collection = "servers"
    title = "Instance"

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """Create and boot a server.

        Args:
            inputs: what the program asks for.
            auth_method: how the caller logged in.

        Returns:
            Its record.

        Raises:
            OSError: no process can be started.
        """
        record = super().create(inputs, auth_method)
        try:
            self.boot(record)
        except OSError:  # no process can be started
            self.delete(record["id"])
            raise
        return record

    def boot(self, record: Record) -> None:
        """Boot a server unless it runs or is shut off, also after a reboot of the host."""
        if record["computed"].get("powerState") == SHUT_OFF:
            return
        packed = user_data.pack(str(record["inputs"].get("userData") or ""))
        folder = self.state.machine_folder(record["id"])
        kind, name = kinds.saved(self.state.folder), record["computed"]["name"]
        key = Keypair(self.state).read(str(record["inputs"].get("keyPair") or "")) or {"inputs": {}}
        public_key = str(key["inputs"].get("publicKey") or "")
        kinds.start(folder, kind, name, packed, public_key, interface=self._interface(record))

    def read(self, identifier: str) -> Record | None:
        """Return the record with the power state that Nova would show, None if there is none."""
        record = super().read(identifier)
        folder = self.state.machine_folder(identifier)
        if record is not None and not machine.is_running(folder):
            record = {**record, "computed": {**record["computed"], "powerState": SHUT_OFF}}
        return record

    def set_power(self, identifier: str, power_state: str) -> Record:
        """Start a server or shut it off.

        Args:
            identifier: the server's id.
            power_state: `ACTIVE` or `SHUT_OFF`.

        Returns:
            The record.

        Raises:
            ApiError: 409; the server is in that state.
        """
        with self.state.records.lock:
            record = self.find(identifier)
            if record["computed"]["powerState"] == power_state:
                verb = "start" if power_state == ACTIVE else "stop"
                raise ApiError(
                    CONFLICT,
                    f"Cannot '{verb}' instance {identifier} while it is in vm_state"
                    f" {VM_STATES[power_state]}",
                )
            computed = {**record["computed"], "powerState": power_state, "updated": now()}
            record = self.save(identifier, record["inputs"], computed)
        if power_state == ACTIVE:
            self.boot(record)
        else:
            kinds.shut_off(self.state.machine_folder(identifier))
        return record

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return an id and what the cloud computes, after Nova's checks; attaches its ports.

        Raises:
            ApiError: 404, something that it names is missing; 409, a port is in use; 403, the quota
                is exceeded; 400, the user-data is too large.
        """
        identifier, name = new_id(), str(inputs["name"])
        image, flavor = self._image(inputs), self._flavor(inputs)
        if key := inputs.get("keyPair"):
            Keypair(self.state).find(str(key))
        self._check_user_data(name, inputs)
        self._check_quota(flavor)
        attached: list[Record] = []
        try:
            for network in inputs.get("networks") or [{}]:
                attached.append(self._attach(network, identifier))
        except ApiError:
            Port(self.state).detach(network["port"] for network in attached)
            raise
        time = now()
        return identifier, {
            "name": name,
            "region": inputs.get("region") or REGION,
            "availabilityZone": inputs.get("availabilityZone") or "nova",
            "accessIpV4": attached[0]["fixedIpV4"],
            "accessIpV6": "",
            "allMetadata": inputs.get("metadata") or {},
            "allTags": inputs.get("tags") or [],
            "created": time,
            "updated": time,
            "flavorId": flavor["id"],
            "flavorName": flavor["name"],
            "imageId": image["id"],
            "imageName": image["name"],
            "networks": attached,
            "powerState": str(inputs.get("powerState") or ACTIVE).lower(),
            "securityGroups": inputs.get("securityGroups") or [],
            # The provider keeps only a hash of it as an output.
            "userData": hashlib.sha1(
                str(inputs.get("userData") or "").encode(), usedforsecurity=False
            ).hexdigest(),
        }

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Change name, metadata, tags, flavor and power state in place.

        Args:
            identifier: the server's id.
            inputs: what the program asks for.

        Returns:
            The record.
        """
        flavor = self._flavor(inputs)
        power_state = str(inputs.get("powerState") or ACTIVE).lower()
        if self.find(identifier)["computed"]["powerState"] != power_state:
            self.set_power(identifier, power_state)
        with self.state.records.lock:
            computed = {
                **self.find(identifier)["computed"],
                "name": str(inputs["name"]),
                "flavorId": flavor["id"],
                "flavorName": flavor["name"],
                "allMetadata": inputs.get("metadata") or {},
                "allTags": inputs.get("tags") or [],
                "powerState": power_state,
                "updated": now(),
            }
            return self.save(identifier, inputs, computed)

    def delete(self, identifier: str) -> None:
        """End a server, which `stopBeforeDestroy` first shuts down, and free its ports."""
        record = self.find(identifier)
        if record["inputs"].get("stopBeforeDestroy"):
            kinds.shut_off(self.state.machine_folder(identifier))
        kinds.stop(self.state.machine_folder(identifier))
        with self.state.records.lock:
            ports = Port(self.state)
            ports.detach(network["port"] for network in record["computed"]["networks"])
            for network in record["computed"]["networks"]:
                port = ports.read(network["port"])
                if port and "name" not in port["inputs"]:  # created by `_attach`
                    ports.delete(network["port"])
            super().delete(identifier)

    def _image(self, inputs: Inputs) -> dict[str, Any]:
        asked, by = (
            (inputs.get("imageId"), "id")
            if inputs.get("imageId")
            else (
                inputs.get("imageName"),
                "name",
            )
        )
        for image in glance.images(self.state):
            if image[by] == asked:
                return image
        raise ApiError(NOT_FOUND, f"No image with the {by} '{asked}' is found.")

    def _flavor(self, inputs: Inputs) -> dict[str, Any]:
        asked, by = (
            (inputs.get("flavorId"), "id")
            if inputs.get("flavorId")
            else (
                inputs.get("flavorName"),
                "name",
            )
        )
        for flavor in flavors.compute(self.state):
            if flavor[by] == asked:
                return flavor
        raise ApiError(NOT_FOUND, f"No flavor with the {by} '{asked}' is found.")

    def _check_user_data(self, name: str, inputs: Inputs) -> None:
        size = len(user_data.pack(str(inputs.get("userData") or "")))
        if size > user_data.MAX_BYTES:
            raise ApiError(
                BAD_REQUEST,
                f"The user_data of '{name}' has {size} bytes after base64, Nova takes "
                f"{user_data.MAX_BYTES}.",
            )

    def _check_quota(self, flavor: dict[str, Any]) -> None:
        sizes = {each["id"]: each for each in flavors.compute(self.state)}
        used = [sizes[r["computed"]["flavorId"]] for r in self.all()] + [flavor]
        totals = {
            "instances": len(used),
            "cores": sum(each["vcpus"] for each in used),
            "ram": sum(each["ram"] for each in used),
        }
        if exceeded := Quotas(self.state).exceeded("compute", totals):
            raise ApiError(FORBIDDEN, f"Quota exceeded for {', '.join(exceeded)}.")

    def _interface(self, record: Record) -> Interface:
        """Return its first port as it is now; changed rules take effect at the next boot."""
        port = Port(self.state).find(record["computed"]["networks"][0]["port"])
        computed = port["computed"]
        rules = SecurityGroupRule(self.state).open_to(computed["allSecurityGroupIds"])
        return Interface(computed["macAddress"], computed["allFixedIps"][0], list(rules))

    def _attach(self, network: dict[str, Any], identifier: str) -> Record:
        """Attach the port that is named, or a new one of the network that is named."""
        internal, ports = networks.internal_network(self.state), Port(self.state)
        if not network.get("port"):
            for key, field in (("uuid", "id"), ("name", "name")):
                if network.get(key) not in (None, "", internal[field]):
                    raise ApiError(NOT_FOUND, f"Network {network[key]} could not be found.")
            asked = {"ipAddress": network.get("fixedIpV4")}
            port = ports.create({"networkId": internal["id"], "fixedIps": [asked]}, "")
        else:
            port = ports.find(str(network["port"]))
        ports.attach(port["id"], identifier)
        return {
            "uuid": internal["id"],
            "name": internal["name"],
            "port": port["id"],
            "fixedIpV4": port["computed"]["allFixedIps"][0],
            "fixedIpV6": "",
            "mac": port["computed"]["macAddress"],
            "accessNetwork": bool(network.get("accessNetwork")),
        }
