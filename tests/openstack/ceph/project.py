"""A project of Keystone's as the gateway has it: containers over Swift, objects over S3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.object_store import ObjectStore

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True)
class Project:
    """Creates what the program's Container and Ec2CredentialV3 would create."""

    connection: "Connection"
    endpoint: str

    def ec2_credential(self) -> ObjectStore:
        """Create EC2 credentials of the project in Keystone; they never expire.

        https://docs.openstack.org/api-ref/identity/v3-ext/ (OS-EC2)

        Returns:
            The store with these keys.
        """
        credential = self.connection.identity.post(
            f"/users/{self.connection.current_user_id}/credentials/OS-EC2",
            json={"tenant_id": self.connection.current_project_id},
        ).json()["credential"]
        return ObjectStore(self.endpoint, credential["access"], credential["secret"])

    def make_container(self, name: str) -> None:
        """As `openstack.objectstorage.Container` does: a bare PUT."""
        answer = self.connection.session.put(f"{self.storage_url}/{name}")
        assert answer.status_code in (201, 202), answer.text

    def listed(self, name: str) -> list[str]:
        """A container's objects, as Swift names them."""
        answer = self.connection.session.get(f"{self.storage_url}/{name}?format=json")
        return [line["name"] for line in answer.json()]

    @property
    def token(self) -> str:
        """What authenticates requests over Swift for some hours."""
        return str(self.connection.session.get_token())

    @property
    def storage_url(self) -> str:
        """The project's account over Swift."""
        return f"{self.endpoint}/swift/v1/AUTH_{self.connection.current_project_id}"
