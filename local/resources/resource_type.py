"""What every type of resource has: its resources are records, created, read, updated, deleted."""

from collections.abc import Mapping
from typing import Any, ClassVar

from local.api.http import CONFLICT, NOT_FOUND
from local.api.quotas import Quotas
from local.api.state import REGION, CloudState, Record, new_id
from local.errors import ApiError

Inputs = Mapping[str, Any]


class ResourceType:
    """The resources of one Pulumi type.

    The names of inputs and outputs are the provider's (camelCase). A record holds the `inputs` and
    what the cloud `computed`; together they are the outputs.
    """

    collection: ClassVar[str]
    """The collection of its records."""
    title: ClassVar[str]
    """Its name in messages."""
    quota: ClassVar[str] = ""
    """The limit of Neutron's quota that it counts against."""

    def __init__(self, state: CloudState) -> None:
        self.state = state

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """Create a resource.

        Args:
            inputs: what the program asks for.
            auth_method: how the caller logged in.

        Returns:
            Its record.
        """
        del auth_method
        with self.state.records.lock:
            identifier, computed = self.compute(inputs)
            return self.save(identifier, inputs, computed)

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Check inputs and quota (ApiError: 409); return an id and what the cloud computes."""
        total = {self.quota: len(self.all()) + 1} if self.quota else {}
        if Quotas(self.state).exceeded("network", total):
            raise ApiError(CONFLICT, f"Quota exceeded for resources: ['{self.quota}'].")
        return new_id(), self.common(inputs)

    def read(self, identifier: str) -> Record | None:
        """Return a record, None if there is none."""
        return self.state.records.get(self.collection, identifier)

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Change a resource in place; returns its record."""
        with self.state.records.lock:
            record = self.find(identifier)
            return self.save(identifier, inputs, record["computed"])

    def delete(self, identifier: str) -> None:
        """Delete a resource; 404 if there is none."""
        with self.state.records.lock:
            self.find(identifier)
            self.state.records.remove(self.collection, identifier)

    def find(self, identifier: str) -> Record:
        """Return a record.

        Raises:
            ApiError: 404; there is none.
        """
        record = self.read(identifier)
        if record is None:
            raise ApiError(NOT_FOUND, f"{self.title} {identifier} could not be found.")
        return record

    def all(self) -> list[Record]:
        """Return every record of the type."""
        return self.state.records.all(self.collection)

    def save(self, identifier: str, inputs: Inputs, computed: Record) -> Record:
        """Store a record.

        Args:
            identifier: the resource's id.
            inputs: what the program asks for.
            computed: what the cloud computed.

        Returns:
            The record.
        """
        record = {"id": identifier, "inputs": dict(inputs), "computed": computed}
        self.state.records.put(self.collection, identifier, record)
        return record

    def common(self, inputs: Inputs) -> Record:
        """Return region and project, which nearly every type computes."""
        project = self.state.identity.project_id
        return {
            "region": inputs.get("region") or REGION,
            "tenantId": inputs.get("tenantId") or project,
        }


def outputs(record: Record) -> Record:
    """Return what the provider returns for a record."""
    return {**record["inputs"], **record["computed"]}
