"""Names of a stack's resources on the clouds and in the object store.

`__main__.py` makes resources under these names; `strays`, quota checks and `init` look for them.
Changing one renames or replaces the resource of every deployed stack.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

#: The Pulumi project's name (Pulumi.yaml).
PROJECT = "image-pipeline"
#: What the buckets are for; also the keys of every mapping of buckets.
BUCKET_ROLES = ("input", "output", "quarantine")
#: Bucket names have at most 63 characters (S3 user guide, "Bucket naming rules"); "-quarantine-"
#: and the hash take 20 of them.
_STEM_LENGTH = 43


@dataclass(frozen=True)
class Names:
    """Names of one stack's resources; all begin with `prefix`, "PROJECT-STACK"."""

    prefix: str

    @classmethod
    def of_stack(cls, stack: str, project: str = PROJECT) -> "Names":
        """Return the names of the stack `stack` of the Pulumi project `project`."""
        return cls(f"{project}-{stack}")

    @property
    def machine(self) -> str:
        """The VM, its rows and its heartbeats."""
        return f"{self.prefix}-vm"

    @property
    def port(self) -> str:
        """The VM's port on the internal network."""
        return f"{self.prefix}-port"

    @property
    def security_group(self) -> str:
        """The group that admits operators to port 22."""
        return f"{self.prefix}-operators"

    @property
    def keypair(self) -> str:
        """The operator's public key at Nova."""
        return f"{self.prefix}-operator"

    @property
    def floating_ip_description(self) -> str:
        """The floating IP's description: Neutron gives addresses no names."""
        return self.prefix

    @property
    def database(self) -> str:
        """The database instance."""
        return f"{self.prefix}-db"

    def bucket(self, role: str, project_id: str) -> str:
        """Return the default name of a bucket, which nobody else on the store will have chosen.

        Args:
            role: One of `BUCKET_ROLES`.
            project_id: The compute cloud's project; names are shared by all users of the store.
        """
        stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.prefix.lower())
        return f"{stem[:_STEM_LENGTH].strip('-')}-{role}-{_project_hash(project_id)}"

    def buckets(self, chosen: Mapping[str, str], project_id: str) -> dict[str, str]:
        """Return role -> bucket name: the one that the settings choose, else the default."""
        return {role: chosen[role] or self.bucket(role, project_id) for role in BUCKET_ROLES}


def _project_hash(project_id: str) -> str:
    return hashlib.sha256(project_id.encode()).hexdigest()[:8]
