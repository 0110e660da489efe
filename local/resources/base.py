"""A kind of resource, kept as records."""

from collections.abc import Mapping
from typing import Any, ClassVar

from local.api.cloud import REGION, Cloud, new_id
from local.api.http import NOT_FOUND, ApiError
from local.api.records import Record

Inputs = Mapping[str, Any]


class Kind:
    """Resources of one type. Names of inputs and outputs are the provider's (camelCase).

    A record holds the `inputs` and what the cloud `computed`; together they are the outputs.
    """

    records: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """Make one; `auth_method` is how the caller proved who they are."""
        del auth_method
        with self.cloud.records.lock:
            identifier, computed = self.compute(inputs)
            return self.keep(identifier, inputs, computed)

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Check what is asked; the id and what the cloud adds."""
        return new_id(), self.common(inputs)

    def read(self, identifier: str) -> Record | None:
        """The record, or None when it is gone."""
        return self.cloud.records.get(self.records, identifier)

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Change one in place."""
        with self.cloud.records.lock:
            record = self.find(identifier)
            return self.keep(identifier, inputs, record["computed"])

    def delete(self, identifier: str) -> None:
        """Remove one; 404 when it is gone."""
        with self.cloud.records.lock:
            self.find(identifier)
            self.cloud.records.remove(self.records, identifier)

    def find(self, identifier: str) -> Record:
        """The record; 404 when there is none."""
        record = self.read(identifier)
        if record is None:
            raise ApiError(NOT_FOUND, f"{self.title} {identifier} could not be found.")
        return record

    def all(self) -> list[Record]:
        """Every record of the kind."""
        return self.cloud.records.all(self.records)

    def keep(self, identifier: str, inputs: Inputs, computed: Record) -> Record:
        """Write the record down."""
        record = {"id": identifier, "inputs": dict(inputs), "computed": computed}
        self.cloud.records.put(self.records, identifier, record)
        return record

    def common(self, inputs: Inputs) -> Record:
        """Region and project, which nearly everything has."""
        project = self.cloud.identity.project_id
        return {
            "region": inputs.get("region") or REGION,
            "tenantId": inputs.get("tenantId") or project,
        }


def outputs(record: Record) -> Record:
    """What the provider returns for a record."""
    return {**record["inputs"], **record["computed"]}
