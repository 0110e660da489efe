"""The errors of requests to the clouds, and the root of the Pulumi program's errors."""

import pulumi

from worker.errors import PipelineError


class InfraError(PipelineError, pulumi.RunError):
    """Root of the program's and its clients' errors; Pulumi prints it without a traceback."""


class CloudError(InfraError):
    """A cloud lacks something that the settings name, or cannot be queried."""


class StoreError(InfraError):
    """The object store refused a request, or a bucket is not in the required state."""


class DatabaseError(InfraError):
    """The database service refused a request, failed, or took too long."""


class DatabaseUnavailable(DatabaseError):
    """The database service failed at a request (5xx); the same one may succeed later."""
