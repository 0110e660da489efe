"""A photo on Ceph: container by Swift, keys by Keystone, put, negated, logged and fetched."""

import hashlib
import json

from tests.openstack.ceph.project import Project
from tests.worker.pictures import decode, error, negated
from tests.worker.pipeline import ROOT, Pipeline

PHOTO = ROOT / "samples" / "cat.jpg"
JPEG_ERROR = 4  # of a channel: the coefficients are negated, not the rounded pixels


def test_photo_is_processed(versioned: Pipeline, project: Project) -> None:
    photo = PHOTO.read_bytes()
    versioned.put("trip/cat 1.jpg", photo)
    assert project.listed(versioned.input) == ["trip/cat 1.jpg"]
    versioned.drain()
    assert versioned.left() == []
    line = json.loads(versioned.run("log", "--like", "cat 1", "--json").stdout)
    assert (line["input_key"], line["outcome"]) == ("trip/cat 1.jpg", "done")
    assert line["output_key"] == "trip/negated_cat 1.jpg"
    result = versioned.get(line["output_key"])
    assert hashlib.sha256(result).hexdigest() == line["output_sha256"]
    assert error(decode(result), negated(photo)) <= JPEG_ERROR
    assert project.listed(versioned.output) == ["trip/negated_cat 1.jpg"]
    query = "select * from log_records where negated_image_name like '%cat 1%';"
    (row,) = versioned.sql(query, user=versioned.admin)
    assert row["negated_image_hash"] == line["output_sha256"]
