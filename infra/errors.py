"""Errors that are sentences for the person at the terminal."""

from collections.abc import Sequence

import pulumi


class Refusal(pulumi.RunError):
    """What was asked for cannot be done; the message says what, why and the remedy.

    Pulumi prints a `RunError` as its message alone, without a traceback.
    """


class SettingsError(Refusal):
    """Bad settings of the stack, all of them at once."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(sentences))


class CloudError(Refusal):
    """A cloud has not what was asked of it, or cannot be asked."""


class StoreError(Refusal):
    """The object store refuses, or holds something that is in the way."""


class DatabaseError(Refusal):
    """The database service refuses, fails, or takes too long."""


class DatabaseUnavailable(DatabaseError):
    """The database service failed at a request (5xx); the same one may succeed later."""
