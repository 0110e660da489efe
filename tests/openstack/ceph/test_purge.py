"""What `destroy --data` does to a bucket, on Ceph: every version and marker of every key goes."""

from clients import s3
from tests.worker.pipeline import Pipeline

KEYS = ["a.jpg", "tab\t.jpg", "return\rline\n.jpg", "bell\x07.jpg", "<&> + %2F 猫.jpg", "/x.jpg"]


def test_a_bucket_of_versions_is_emptied(versioned: Pipeline) -> None:
    for key in KEYS:
        versioned.put(key, b"older")
        versioned.put(key, b"newer")
        versioned.s3.delete_object(Bucket=versioned.input, Key=key)
    assert s3.purge(versioned.s3, versioned.input) == 3 * len(KEYS)
    assert versioned.left() == []
    versioned.s3.delete_bucket(Bucket=versioned.input)
