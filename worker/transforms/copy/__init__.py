"""Copy a file, byte for byte."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from worker.transforms import Input, Produced
from worker.transforms.output_keys import content_type_of


def apply(inputs: Sequence[Input], outputs: Path, _parameters: None) -> Produced:
    """Copy the file; its name tells the content type. See `Transform.apply`."""
    (source,) = inputs
    target = outputs / "copy"
    shutil.copyfile(source.path, target)
    return Produced([(target, content_type_of(source.name))])
