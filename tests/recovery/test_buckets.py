"""A bucket was emptied by mistake: its objects come back as docs/recovery.md says."""

import sys

from tests.recovery.recipes import block, paste
from tests.worker.jobs import PNG, changed
from tests.worker.pictures import decode, error, negated
from tests.worker.pipeline import ROOT, Pipeline

_KEYS = ["a.png", "b/ü &.png", "c d.png"]
_PROFILE = """\
[profile image-pipeline-lab]
aws_access_key_id = {0.access_key}
aws_secret_access_key = {0.secret_key}
endpoint_url = {0.endpoint}
region = us-east-1
s3 =
  addressing_style = path
"""


def undeleted(pipeline: Pipeline, bucket: str, since: str) -> str:
    """Run the recipe that removes delete markers."""
    home = pipeline.folder / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text(_PROFILE.format(pipeline.store))
    commands = block("A bucket was emptied by mistake", "list_object_versions")
    keys, _, script = commands.partition("\n")
    assert keys == "./pipeline keys --stack lab --aws >>~/.aws/config"  # written above
    changes = {
        ".venv/bin/python": sys.executable,
        "BUCKET": bucket,
        "2026-11-28T09:00:00Z": since,
    }
    return paste(script, home, changes)


def emptied(pipeline: Pipeline, bucket: str) -> None:
    for key in pipeline.keys(bucket):
        pipeline.s3.delete_object(Bucket=bucket, Key=key)
    assert pipeline.keys(bucket) == []


def test_uploads_come_back_and_are_processed(versioned: Pipeline) -> None:
    versioned.put("withdrawn.png", PNG)
    versioned.s3.delete_object(Bucket=versioned.input, Key="withdrawn.png")
    versioned.next_second()
    for key in _KEYS:
        versioned.put(key, b"replaced")
        versioned.put(key, PNG)
    emptied(versioned, versioned.input)
    answer = versioned.s3.list_object_versions(Bucket=versioned.input)
    since = min(one["LastModified"] for one in answer["DeleteMarkers"] if one["Key"] in _KEYS)
    printed = undeleted(versioned, versioned.input, since.isoformat())
    assert sorted(printed.splitlines()) == sorted(_KEYS)
    assert sorted(versioned.keys(versioned.input)) == sorted(_KEYS)
    versioned.drain()
    assert versioned.left() == []
    done = [row["key"] for row in versioned.rows() if row["outcome"] == "done"]
    assert sorted(done) == sorted(_KEYS)
    assert error(decode(versioned.get("negated_a.png")), negated(PNG)) == 0


def test_results_come_back(versioned: Pipeline) -> None:
    versioned.put("a.png", PNG)
    versioned.drain()
    emptied(versioned, versioned.output)
    undeleted(versioned, versioned.output, "2000-01-01T00:00:00Z")
    assert error(decode(versioned.get("negated_a.png")), negated(PNG)) == 0


def test_results_are_made_again_from_kept_inputs(unversioned: Pipeline) -> None:
    archive = f"{unversioned.name}-archive"
    unversioned.make_bucket(archive)
    unversioned.tables = {"store": {"archive": archive}, "pipeline": {"keep_inputs": True}}
    unversioned.configure()
    for key in ("a.png", "b.png"):
        unversioned.put(key, PNG)
    unversioned.drain()
    emptied(unversioned, unversioned.output)
    commands = block("A bucket was emptied by mistake", "jobs retry")
    assert commands.split()[1:-2] == ["jobs", "retry", "--state", "done"]
    assert changed(unversioned, "retry", "--state", "done") == [None, None]
    unversioned.drain()
    assert unversioned.keys(unversioned.output) == ["negated_a.png", "negated_b.png"]
    assert len(unversioned.keys(archive)) == 2


def test_a_quarantine_that_was_emptied(versioned: Pipeline) -> None:
    versioned.put("bad.png", b"no picture")
    versioned.drain()
    emptied(versioned, versioned.quarantine)
    assert "jobs drop --state quarantined" in (ROOT / "docs" / "recovery.md").read_text()
    assert changed(versioned, "drop", "--state", "quarantined") == [None]
    assert [row["outcome"] for row in versioned.rows()] == ["dropped"]
