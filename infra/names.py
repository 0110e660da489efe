"""Names of a stack's resources on the clouds and in the object store.

`__main__.py` makes resources under these names; `strays`, quota checks and `init` look for them.
Changing one renames or replaces the resource of every deployed stack.
"""

import hashlib
from collections.abc import Mapping

#: The Pulumi project's name (Pulumi.yaml).
PROJECT = "image-pipeline"
#: What the buckets are for; also the keys of every mapping of buckets.
BUCKET_ROLES = ("input", "output", "quarantine")
#: Bucket names have at most 63 characters (S3 user guide, "Bucket naming rules"); "-quarantine-"
#: and the hash take 20 of them.
_STEM_LENGTH = 43


class Names:
    """Names of one stack's resources; all begin with `prefix`, "PROJECT-STACK"."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.machine = f"{prefix}-vm"  # also in its rows and heartbeats
        self.port = f"{prefix}-port"
        self.security_group = f"{prefix}-operators"  # admits operators to port 22
        self.keypair = f"{prefix}-operator"
        self.floating_ip_description = prefix  # Neutron gives addresses no names
        self.database = f"{prefix}-db"

    @classmethod
    def of_stack(cls, stack: str, project: str = PROJECT) -> "Names":
        """Return the names of the stack `stack` of the Pulumi project `project`."""
        return cls(f"{project}-{stack}")

    def bucket(self, role: str, project_id: str) -> str:
        """Return a bucket's default name, unique on a store that all its users share names on."""
        stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.prefix.lower())
        digest = hashlib.sha256(project_id.encode()).hexdigest()[:8]
        return f"{stem[:_STEM_LENGTH].strip('-')}-{role}-{digest}"

    def buckets(self, chosen: Mapping[str, str], project_id: str) -> dict[str, str]:
        """Return role -> bucket name: the one that the settings choose, else the default."""
        return {role: chosen[role] or self.bucket(role, project_id) for role in BUCKET_ROLES}
