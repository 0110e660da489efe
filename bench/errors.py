"""The errors of the benchmarks."""

from worker.errors import PipelineError


class NotInstalled(PipelineError):
    """A program to compare with is missing; the benchmark continues without it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"Left out: {what} is not installed ({remedy}).")


class RevisionUnusable(PipelineError):
    """A revision to compare with does not exist, cannot be built or cannot run a pass."""
