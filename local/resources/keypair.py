"""SSH key pairs."""

import base64
import binascii
import hashlib

from local.api.http import BAD_REQUEST, CONFLICT
from local.api.state import REGION, Record
from local.errors import ApiError
from local.resources.resource_type import Inputs, ResourceType


class Keypair(ResourceType):
    """A public SSH key; its id is its name."""

    collection = "keypairs"
    title = "Keypair"

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return the name and what the cloud computes, after Nova's checks.

        Raises:
            ApiError: 409, the name is taken; 400, the key is not an SSH public key.
        """
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
            "userId": inputs.get("userId") or self.state.identity.user_id,
        }
