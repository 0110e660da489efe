"""A pytest plugin for those who write transforms: the fixture `apply_transform`.

`pytest_plugins = ["worker.testing"]` in a test's module, or `pytest -p worker.testing`, loads it.
PYTEST_DONT_REWRITE: a test may import the fixture's type before pytest loads the plugin.
"""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from worker.apply import Trial
from worker.transforms import Produced


class ApplyTransform(Protocol):
    """The type of the fixture `apply_transform`."""

    def __call__(
        self,
        name: str,
        *sources: Path,
        folder: Path | None = None,
        parameters: Mapping[str, object] | None = None,
        gather: bool = False,
    ) -> Produced:
        """Run a transform as a job would, but unconfined and in this process.

        Args:
            name: What a pipeline has as `transform`.
            sources: The files; one, unless it gathers.
            folder: What a pipeline has as `folder`.
            parameters: What a pipeline has as `parameters`.
            gather: What a pipeline has as `gather`.

        Returns:
            Its results, `files` as pairs of path and content type, and its `records`.

        Raises:
            InvalidInput: The job would be refused, for this reason.
            InvalidSettings: `preview` would refuse the pipeline.
        """


@pytest.fixture
def apply_transform(tmp_path: Path) -> ApplyTransform:
    """Return a function that runs a transform without a stack; see `ApplyTransform`."""
    numbers = count(1)

    def run(
        name: str,
        *sources: Path,
        folder: Path | None = None,
        parameters: Mapping[str, object] | None = None,
        gather: bool = False,
    ) -> Produced:
        work = tmp_path / f"job-{next(numbers)}"
        return Trial(name, parameters or {}, folder, gather=gather).run(sources, work)

    return run
