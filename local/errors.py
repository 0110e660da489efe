"""The errors of the local cloud; each message is one sentence for the person at the terminal."""

from worker.errors import PipelineError


class LocalCloudError(PipelineError):
    """Something that the local cloud needs is missing, or a server of it did not start."""


class LockHeld(PipelineError):
    """Another process holds the lock."""


class InvalidUserData(LocalCloudError):
    """The user-data cannot be applied; the message says why."""


class ImageBuildFailed(LocalCloudError):
    """A Debian tree or disk image could not be built; the message says why."""


class ApiError(LocalCloudError):
    """A service of the local cloud refuses a request."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status beside the message.

        Args:
            status: the HTTP status of the response.
            message: what the response's body says.
        """
        super().__init__(message)
        self.status = status


class CloudRequestFailed(LocalCloudError):
    """The plugin's request was refused by the local cloud, or never reached it."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Keep the HTTP status beside the message.

        Args:
            message: one sentence for Pulumi's user.
            status: the HTTP status of the response, 0 where there was none.
        """
        super().__init__(message)
        self.status = status
