"""The errors of requests to the clouds, and the root of the Pulumi program's errors."""

from collections.abc import Iterable

import pulumi

from worker.errors import PipelineError


class InfraError(PipelineError, pulumi.RunError):
    """Root of the program's and its clients' errors; Pulumi prints it without a traceback."""


class CloudError(InfraError):
    """A cloud lacks something that the settings name, or cannot be queried."""


class NotInCloud(CloudError):
    """A cloud does not have what a setting names; the message lists what it has."""

    def __init__(
        self, setting: str, value: str, entry: str, what: str, names: Iterable[str]
    ) -> None:
        available = f"available {what}: {join_names(names)}"
        super().__init__(f"{setting} is {value!r}, not found in cloud {entry!r}; {available}.")


class StoreError(InfraError):
    """The object store refused a request, or a bucket is not in the required state."""


class DatabaseError(InfraError):
    """The database service refused a request, failed, or took too long."""


class DatabaseUnavailable(DatabaseError):
    """The database service failed at a request (5xx); the same one may succeed later."""


def join_names(names: Iterable[str]) -> str:
    """Return names for a sentence, sorted."""
    return ", ".join(sorted({str(name) for name in names})) or "none"
