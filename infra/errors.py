"""The errors of the Pulumi program itself."""

from collections.abc import Sequence

from clients.errors import InfraError


class InvalidSettings(InfraError):
    """The stack's settings are wrong: one sentence for each fault, all of them at once."""

    def __init__(self, sentences: Sequence[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(sentences))


class UserDataTooLarge(InfraError):
    """The machine's user-data exceeds Nova's limit."""
