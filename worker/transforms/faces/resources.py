"""The file that `faces` needs if the user has a model of their own."""

from collections.abc import Sequence
from typing import Any

from worker.transforms import Resource


def resources(parameters: Any) -> Sequence[Resource]:
    """Name the model, if it is not the packaged one.

    Args:
        parameters: An instance of `Parameters`.

    Returns:
        `model`; a location without `://` is a file of the pipeline's folder.
    """
    if not parameters.model:
        return []
    return [Resource("model", parameters.model, parameters.model_sha256)]
