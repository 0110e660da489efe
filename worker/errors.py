"""The errors of the worker, and `PipelineError`, the root of all errors of this project.

Standard library only: the bootstrap on a new machine imports this module.
"""

from typing import Any

_OVERLOAD_STATUSES = {429, 503}
_OVERLOAD_CODES = {"SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "429", "503"}
_TEMPORARY_STATUSES = {408, 500, 502, 504}
# Codes in the bodies of successful responses, or with statuses that also have other causes.
_TEMPORARY_CODES = {
    "InternalError",
    "500",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
}


class PipelineError(Exception):
    """Root of the project's errors: the message is one sentence for the operator."""


class InvalidSettings(PipelineError):
    """The settings cannot be used: one sentence for each problem, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


class ServiceUnavailable(PipelineError):
    """The store, the database or the disk cannot be used for any upload: the pass ends."""


class TablesMissing(ServiceUnavailable):
    """The database has no tables yet, or not all of them: `migrate` was not run.

    Attributes:
        exit_status: Of a worker's command that ends with this error.
    """

    exit_status = 3

    def __init__(self) -> None:
        super().__init__("The database has no pipeline tables yet: run `python -m worker migrate`.")


class UploadDeferred(PipelineError):
    """This upload cannot be processed now, others may be: it is left for the next pass."""


class RequestPartlyStored(PipelineError):
    """The store failed while it took the files of a request, and some of them may be stored.

    Attributes:
        files: These: token, pipeline, key, sha256, bytes.
    """

    def __init__(self, reason: str, files: list[dict[str, Any]]) -> None:
        super().__init__(reason)
        self.files = files


class DeletionRefused(UploadDeferred):
    """The store refuses to delete this upload, for instance because of Object Lock.

    Retrying soon cannot help, and the upload must not be processed again.
    """


class ObjectMissing(PipelineError):
    """The object or version is not in the bucket, or no longer with the listed ETag."""


class LeaseLost(PipelineError):
    """Another machine may have leased the key: this one must not write its results."""


class PassInterrupted(PipelineError):
    """The worker was asked to stop: unfinished uploads are left for the next pass."""


class TransformFailed(PipelineError):
    """A file was not transformed.

    Attributes:
        log: The end of what the transform printed.
    """

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.log = log


class InvalidInput(TransformFailed):
    """The file itself cannot be transformed, now or later: it belongs in quarantine."""


class TransformCrashed(TransformFailed):
    """The process that transformed the file died or was killed; the cause is unknown."""


class MessageRefused(PipelineError):
    """A camera's message will never be stored."""


class JobRefused(PipelineError):
    """An operator's request for a job cannot be carried out."""


class Disconnected(PipelineError):
    """The other side of a job's connection has ended, or sends invalid messages."""


class NoResponse(PipelineError):
    """The store sent no complete response to any of the attempts."""


class ResponseTimeout(NoResponse):
    """The store accepted the request and then sent nothing for too long."""


class ResponseUnreadable(NoResponse):
    """The store's response is not HTTP, or larger than any that is expected."""


class ResponseTruncated(NoResponse):
    """The store closed the connection before the end of its response."""


class RequestRefused(PipelineError):
    """The store answered with an error status.

    Attributes:
        code: S3's error code, or the HTTP status as text where the response has none.
        status: The HTTP status, 0 where the error was part of a successful response.
    """

    def __init__(self, code: str, status: int = 0) -> None:
        super().__init__(code)
        self.code, self.status = code, status

    @property
    def is_overload(self) -> bool:
        """Whether the store is overloaded: fewer requests help, other access keys do not."""
        return self.status in _OVERLOAD_STATUSES or self.code in _OVERLOAD_CODES

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later (S3 API reference, "Error responses")."""
        return (
            self.is_overload or self.status in _TEMPORARY_STATUSES or self.code in _TEMPORARY_CODES
        )
