"""The errors of the Pulumi program and of its requests to the clouds."""

from collections.abc import Sequence

import pulumi

from worker.errors import PipelineError


class InfraError(PipelineError, pulumi.RunError):
    """Root of this package's errors; Pulumi prints a `RunError` without a traceback."""


class InvalidSettings(InfraError):
    """The stack's settings are wrong: one sentence for each fault, all of them at once."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(sentences))


class CloudError(InfraError):
    """A cloud lacks something that the settings name, or cannot be queried."""


class StoreError(InfraError):
    """The object store refused a request, or a bucket is not in the required state."""


class DatabaseError(InfraError):
    """The database service refused a request, failed, or took too long."""


class DatabaseUnavailable(DatabaseError):
    """The database service failed at a request (5xx); the same one may succeed later."""


class UserDataTooLarge(InfraError):
    """The machine's user-data exceeds Nova's limit."""
