"""EC2 credentials: keys for the object store."""

from local.api.keystone import EC2_CREDENTIALS, Keystone
from local.api.state import REGION, Record
from local.resources.resource_type import Inputs, ResourceType


class Ec2Credential(ResourceType):
    """A key pair that Keystone keeps; its id is the access key."""

    collection = EC2_CREDENTIALS
    title = "Credential"

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """Create keys, unless Keystone refuses them.

        Args:
            inputs: what the program asks for.
            auth_method: how the caller logged in.

        Returns:
            The record.
        """
        credential = Keystone(self.state).new_credential(auth_method)
        return _record(credential, inputs)

    def read(self, identifier: str) -> Record | None:
        """Return the record, if Keystone has the keys."""
        found = super().read(identifier)
        return found and _record(found, {})


def _record(credential: Record, inputs: Inputs) -> Record:
    """The record of Keystone's credential."""
    computed = {
        "access": credential["access"],
        "secret": credential["secret"],
        "projectId": credential["tenant_id"],
        "userId": credential["user_id"],
        "trustId": "",
        "region": inputs.get("region") or REGION,
    }
    return {"id": credential["access"], "inputs": dict(inputs), "computed": computed}
