"""EC2 credentials (keys for the object store) and SSH key pairs."""

import base64
import binascii
import hashlib

from local.api.cloud import REGION
from local.api.http import BAD_REQUEST, CONFLICT, ApiError
from local.api.keystone import CREDENTIALS, Keystone
from local.api.records import Record
from local.resources.base import Inputs, Kind


class Ec2Credential(Kind):
    """Kept by Keystone, whose id for them is the access key."""

    records = CREDENTIALS
    title = "Credential"

    def create(self, inputs: Inputs, auth_method: str) -> Record:
        """New keys, unless Keystone refuses them."""
        made = Keystone(self.cloud).new_credential(auth_method)
        return self._record(made, inputs)

    def read(self, identifier: str) -> Record | None:
        """The keys, if Keystone still has them."""
        found = super().read(identifier)
        return found and self._record(found, {})

    def _record(self, kept: Record, inputs: Inputs) -> Record:
        computed = {
            "access": kept["access"],
            "secret": kept["secret"],
            "projectId": kept["tenant_id"],
            "userId": kept["user_id"],
            "trustId": "",
            "region": inputs.get("region") or REGION,
        }
        return {"id": kept["access"], "inputs": dict(inputs), "computed": computed}


class Keypair(Kind):
    """A public SSH key under a name."""

    records = "keypairs"
    title = "Keypair"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Nova checks the key's text and takes a name once."""
        name, key = str(inputs["name"]), str(inputs.get("publicKey") or "")
        if self.read(name) is not None:
            raise ApiError(CONFLICT, f"Key pair '{name}' already exists.")
        try:
            raw = base64.b64decode(key.split()[1], validate=True)
        except (IndexError, binascii.Error):
            raise ApiError(
                BAD_REQUEST,
                f"Keypair data is invalid: the public key of '{name}' is not one line of the "
                "form 'ssh-ed25519 AAAA… comment'.",
            ) from None
        digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()  # as Nova shows it
        return name, {
            "region": inputs.get("region") or REGION,
            "fingerprint": ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)),
            "privateKey": "",
            "userId": inputs.get("userId") or self.cloud.identity.user_id,
        }
