"""The association of a floating IP with a port."""

from local.api.http import CONFLICT, NOT_FOUND
from local.api.state import Record
from local.errors import ApiError
from local.resources.floating_ip import FloatingIp
from local.resources.port import Port
from local.resources.resource_type import Inputs, ResourceType


class FloatingIpAssociate(ResourceType):
    """Stored in the floating IP's record, whose id it has; gone once the IP has no port."""

    collection = FloatingIp.collection
    title = "Floating IP association"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return the id and the fixed address, after associating IP and port.

        Raises:
            ApiError: 404, there is no such IP; 409, the IP has another port.
        """
        address, port_id = str(inputs["floatingIp"]), str(inputs["portId"])
        record = next((ip for ip in self.all() if ip["computed"]["address"] == address), None)
        if record is None:
            raise ApiError(NOT_FOUND, f"Floating IP {address} could not be found.")
        if record["computed"]["portId"] not in ("", port_id):
            raise ApiError(CONFLICT, f"Floating IP {address} is already in use.")
        return record["id"], self._associate(record, port_id)

    def read(self, identifier: str) -> Record | None:
        """Return the record, None if the IP has no port."""
        ip = super().read(identifier)
        if ip is None or not ip["computed"]["portId"]:
            return None
        inputs = {key: ip["computed"][key] for key in ("portId", "fixedIp", "region")}
        inputs["floatingIp"] = ip["computed"]["address"]
        return {"id": identifier, "inputs": inputs, "computed": {}}

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Associate the IP with another port; returns the record."""
        with self.state.records.lock:
            record = self.state.records.get(self.collection, identifier) or self.find(identifier)
            return self.save(identifier, inputs, self._associate(record, str(inputs["portId"])))

    def delete(self, identifier: str) -> None:
        """Dissociate the IP, which stays the project's."""
        with self.state.records.lock:
            self.find(identifier)
            record = self.state.records.get(self.collection, identifier)
            if record is not None:
                record["computed"].update(portId="", fixedIp="")
                self.state.records.put(self.collection, identifier, record)

    def save(self, identifier: str, inputs: Inputs, computed: Record) -> Record:
        """Return the record without storing it: the floating IP's record holds the association."""
        return {"id": identifier, "inputs": dict(inputs), "computed": computed}

    def _associate(self, record: Record, port_id: str) -> Record:
        fixed = Port(self.state).find(port_id)["computed"]["allFixedIps"][0]
        record["computed"].update(portId=port_id, fixedIp=fixed)
        self.state.records.put(self.collection, record["id"], record)
        return {"fixedIp": fixed, "region": record["computed"]["region"]}
