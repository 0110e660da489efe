"""Names of a stack's resources on the clouds and in the object store.

`__main__.py` makes resources under these names; `strays`, quota checks and `init` look for them.
Changing one renames or replaces the resource of every deployed stack.
"""

import hashlib

#: The Pulumi project's name (Pulumi.yaml).
PROJECT = "image-pipeline"
#: What the buckets of a stack with one pipeline are for.
BUCKET_ROLES = ("input", "output", "quarantine")
#: The pipeline whose buckets are named as before stacks had several.
FIRST_PIPELINE = "negatives"
#: Security groups: of the first machine, which admits operators, and of the others.
GROUP_ROLES = ("operators", "machines")
#: The most machines of a stack, and the numbers that its machines may have.
MOST_MACHINES = 50
MACHINE_NUMBERS = range(1, MOST_MACHINES + 1)
#: Bucket names have at most 63 characters (S3 user guide, "Bucket naming rules"); "-quarantine-"
#: and the hash take 20 of them.
_STEM_LENGTH = 43
_LONGEST = 63


class Names:
    """Names of one stack's resources; all begin with `prefix`, "PROJECT-STACK"."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.keypair = f"{prefix}-operator"
        self.floating_ip_description = prefix  # Neutron gives addresses no names
        self.database = f"{prefix}-db"

    @classmethod
    def of_stack(cls, stack: str, project: str = PROJECT) -> "Names":
        """Return the names of the stack `stack` of the Pulumi project `project`."""
        return cls(f"{project}-{stack}")

    def machine(self, number: int = 1) -> str:
        """Return a machine's name, which is also in its rows and heartbeats."""
        return numbered(f"{self.prefix}-vm", number)

    def port(self, number: int = 1) -> str:
        """Return the name of a machine's port."""
        return numbered(f"{self.prefix}-port", number)

    def security_group(self, role: str) -> str:
        """Return a security group's name; `role` is one of GROUP_ROLES."""
        return f"{self.prefix}-{role}"

    def bucket(self, role: str, project_id: str) -> str:
        """Return a bucket's default name, unique on a store that all its users share names on."""
        return f"{self._stem(_STEM_LENGTH)}-{role}-{_digest(project_id)}"

    def pipeline_bucket(self, pipeline: str, role: str, project_id: str) -> str:
        """Return the default name of a pipeline's input or output bucket.

        The hash tells pipelines apart whose stacks' names are cut off, or run into theirs.
        """
        if pipeline == FIRST_PIPELINE:
            return self.bucket(role, project_id)
        end = f"-{pipeline}-{role}-{_digest(f'{project_id}/{self.prefix}/{pipeline}')}"
        return self._stem(_LONGEST - len(end)) + end

    def _stem(self, length: int) -> str:
        stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.prefix.lower())
        return stem[:length].strip("-")


def numbered(name: str, number: int) -> str:
    """Return the name of the resource of a machine; the first one's has no number."""
    return name if number == 1 else f"{name}-{number}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
