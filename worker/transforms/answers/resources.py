"""The files that `answers` needs: a model and its tokenizer."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from worker.transforms import Resource


def resources(parameters: Any) -> Sequence[Resource]:
    """Name the model's files.

    Args:
        parameters: An instance of `Parameters`.

    Returns:
        `model` and `tokenizer`; a location without `://` is a file of the pipeline's folder.
    """
    return [
        Resource(name, _location(parameters.model, file), sha256)
        for name, file, sha256 in (
            ("model", parameters.model_file, parameters.model_sha256),
            ("tokenizer", parameters.tokenizer_file, parameters.tokenizer_sha256),
        )
    ]


def _location(model: str, file: str) -> str:
    return f"{model}/{file}" if "://" in model else str(PurePosixPath(model, file))
