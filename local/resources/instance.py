"""A virtual machine; what it is here, the cloud's folder tells (local/machine/kinds.py)."""

import hashlib
from typing import Any

from local.api import flavors, glance
from local.api.cloud import REGION, new_id, now
from local.api.http import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND, ApiError
from local.api.quotas import Quotas
from local.api.records import Record
from local.layout import MACHINES
from local.machine import kinds, machine, user_data
from local.resources import networks
from local.resources.base import Inputs, Kind
from local.resources.keys import Keypair
from local.resources.port import Port

#: Values of `powerState` as the provider has them, and Nova's words for the same.
ACTIVE, SHUT_OFF = "active", "shutoff"
VM_STATES = {ACTIVE: "active", SHUT_OFF: "stopped"}


class Instance(Kind):
    """Checked as Nova checks; ACTIVE as soon as its process runs."""

    records = "servers"
    title = "Instance"

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """Make and boot it."""
        record = super().create(inputs, auth_method)
        try:
            self.boot(record)
        except OSError:  # no process can be started
            self.delete(record["id"])
            raise
        return record

    def boot(self, record: Record) -> None:
        """Start its process unless it runs or is shut off (it boots again after the host did)."""
        if record["computed"].get("powerState") == SHUT_OFF:
            return
        text = user_data.packed(str(record["inputs"].get("userData") or ""))
        folder = self.cloud.folder / MACHINES / record["id"]
        kind, name = kinds.kept(self.cloud.folder), record["computed"]["name"]
        key = Keypair(self.cloud).read(str(record["inputs"].get("keyPair") or "")) or {"inputs": {}}
        kinds.start(folder, kind, name, text, str(key["inputs"].get("publicKey") or ""))

    def read(self, identifier: str) -> Record | None:
        """The record, with the power state that Nova would tell."""
        record = super().read(identifier)
        if record is not None and not machine.running(self.cloud.folder / MACHINES / identifier):
            record = {**record, "computed": {**record["computed"], "powerState": SHUT_OFF}}
        return record

    def power(self, identifier: str, state: str) -> Record:
        """Start it or shut it off; 409 where it is in that state already."""
        with self.cloud.records.lock:
            record = self.find(identifier)
            if record["computed"]["powerState"] == state:
                verb = "start" if state == ACTIVE else "stop"
                raise ApiError(
                    CONFLICT,
                    f"Cannot '{verb}' instance {identifier} while it is in vm_state"
                    f" {VM_STATES[state]}",
                )
            computed = {**record["computed"], "powerState": state, "updated": now()}
            record = self.keep(identifier, record["inputs"], computed)
        if state == ACTIVE:
            self.boot(record)
        else:
            kinds.shut_off(self.cloud.folder / MACHINES / identifier)
        return record

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Everything it names must exist, and its ports be free."""
        identifier, name = new_id(), str(inputs["name"])
        image, flavor = self._image(inputs), self._flavor(inputs)
        if key := inputs.get("keyPair"):
            Keypair(self.cloud).find(str(key))
        self._check_user_data(name, inputs)
        self._check_quota(flavor)
        attached: list[Record] = []
        try:
            for network in inputs.get("networks") or [{}]:
                attached.append(self._attach(network, identifier))
        except ApiError:
            Port(self.cloud).release(network["port"] for network in attached)
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
        """Name, metadata and tags change in place; another flavor resizes it.

        A `powerState` that it has not is brought about.
        """
        flavor = self._flavor(inputs)
        state = str(inputs.get("powerState") or ACTIVE).lower()
        if self.find(identifier)["computed"]["powerState"] != state:
            self.power(identifier, state)
        with self.cloud.records.lock:
            computed = {
                **self.find(identifier)["computed"],
                "name": str(inputs["name"]),
                "flavorId": flavor["id"],
                "flavorName": flavor["name"],
                "allMetadata": inputs.get("metadata") or {},
                "allTags": inputs.get("tags") or [],
                "powerState": state,
                "updated": now(),
            }
            return self.keep(identifier, inputs, computed)

    def delete(self, identifier: str) -> None:
        """Shut it down and wait; its ports are free again."""
        record = self.find(identifier)
        kinds.stop(self.cloud.folder / MACHINES / identifier)
        with self.cloud.records.lock:
            ports = Port(self.cloud)
            ports.release(network["port"] for network in record["computed"]["networks"])
            for network in record["computed"]["networks"]:
                port = ports.read(network["port"])
                if port and "name" not in port["inputs"]:  # made by `_attach`
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
        for image in glance.images(self.cloud):
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
        for flavor in flavors.compute(self.cloud):
            if flavor[by] == asked:
                return flavor
        raise ApiError(NOT_FOUND, f"No flavor with the {by} '{asked}' is found.")

    def _check_user_data(self, name: str, inputs: Inputs) -> None:
        size = len(user_data.packed(str(inputs.get("userData") or "")))
        if size > user_data.MAX_BYTES:
            raise ApiError(
                BAD_REQUEST,
                f"The user_data of '{name}' has {size} bytes after base64, Nova takes "
                f"{user_data.MAX_BYTES}.",
            )

    def _check_quota(self, flavor: dict[str, Any]) -> None:
        sizes = {each["id"]: each for each in flavors.compute(self.cloud)}
        all_of_them = [sizes[r["computed"]["flavorId"]] for r in self.all()] + [flavor]
        wanted = {
            "instances": len(all_of_them),
            "cores": sum(each["vcpus"] for each in all_of_them),
            "ram": sum(each["ram"] for each in all_of_them),
        }
        if over := Quotas(self.cloud).over("compute", wanted):
            raise ApiError(FORBIDDEN, f"Quota exceeded for {', '.join(over)}.")

    def _attach(self, network: dict[str, Any], identifier: str) -> Record:
        """Hold the port that is named, or make one in the network that is."""
        internal, ports = networks.internal(self.cloud), Port(self.cloud)
        if not network.get("port"):
            for key, field in (("uuid", "id"), ("name", "name")):
                if network.get(key) not in (None, "", internal[field]):
                    raise ApiError(NOT_FOUND, f"Network {network[key]} could not be found.")
            asked = {"ipAddress": network.get("fixedIpV4")}
            port = ports.create({"networkId": internal["id"], "fixedIps": [asked]}, "")
        else:
            port = ports.find(str(network["port"]))
        ports.hold(port["id"], identifier)
        return {
            "uuid": internal["id"],
            "name": internal["name"],
            "port": port["id"],
            "fixedIpV4": port["computed"]["allFixedIps"][0],
            "fixedIpV6": "",
            "mac": port["computed"]["macAddress"],
            "accessNetwork": bool(network.get("accessNetwork")),
        }
