"""The function without a stack: .venv/bin/python -m pytest examples/own-function."""

from pathlib import Path

import pytest
from PIL import Image

from worker.errors import InvalidInput
from worker.testing import ApplyTransform

pytest_plugins = ["worker.testing"]
HERE = Path(__file__).parent
CAT = HERE.parent / "data" / "cat.jpg"
THUMBNAIL = "thumbnails:thumbnail"


@pytest.mark.parametrize(("shape", "size"), [("whole", (64, 43)), ("square", (64, 64))])
def test_a_thumbnail(apply_transform: ApplyTransform, shape: str, size: tuple[int, int]) -> None:
    parameters = {"size": 64, "shape": shape}
    made = apply_transform(THUMBNAIL, CAT, folder=HERE, parameters=parameters)
    ((path, content_type),) = made.files
    assert content_type == "image/jpeg"
    assert Image.open(path).size == size
    (record,) = made.records
    assert (record["width"], record["height"]) == (451, 300)


def test_what_is_no_picture_is_refused(apply_transform: ApplyTransform) -> None:
    with pytest.raises(InvalidInput, match="UnidentifiedImageError"):
        apply_transform(THUMBNAIL, HERE / "requirements.txt", folder=HERE)
