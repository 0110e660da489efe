"""Errors of reading a stack's file; standard library only, since every command imports this."""

from collections.abc import Sequence

from worker.errors import PipelineError


class MalformedStackFile(PipelineError):
    """Pulumi.STACK.yaml cannot be read: one sentence for each fault, with line and column."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
