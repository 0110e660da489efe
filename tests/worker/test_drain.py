"""What goes through: names, formats, rows, on every kind of store."""

import hashlib

from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline


def test_a_photo_goes_through(pipeline: Pipeline) -> None:
    photo = encode(picture(1), "PNG")
    pipeline.put("cat1.png", photo)
    pipeline.drain()
    result = pipeline.get("negated_cat1.png")
    assert error(decode(result), negated(photo)) == 0
    assert pipeline.left() == []
    (row,) = pipeline.rows()
    assert row["outcome"] == "done"
    assert row["input_sha256"] == hashlib.sha256(photo).hexdigest()
    assert row["output_sha256"] == hashlib.sha256(result).hexdigest()
