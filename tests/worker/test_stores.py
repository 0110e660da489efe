"""docs/object-stores.md says what the stores answer; Ceph's column is tests/openstack's."""

import json
import re
from pathlib import Path

import pytest

from cli.check_store.ground import PREFIX
from cli.check_store.questions import FACTS
from local.object_store import ObjectStore
from tests.stores import page
from tests.stores.asked import MOTO, RCLONE, anybody, read, version_of
from tests.stores.command import keys_file, run
from tests.worker.pipeline import client

TEXT = page.PAGE.read_text(encoding="utf-8")
ANEW = f"write it anew: {page.COMMAND}"


def test_the_page_is_as_it_was_written() -> None:
    assert page.render(page.read(TEXT)) == TEXT, ANEW


@pytest.mark.parametrize("name", [MOTO, RCLONE])
def test_the_versions_are_those_we_use(name: str) -> None:
    assert page.column(TEXT, name).version == version_of(name), ANEW


def test_people_are_told_what_the_page_says_of_moto(moto: ObjectStore, tmp_path: Path) -> None:
    """moto takes every key: fine on loopback, not for pictures of value."""
    keys = keys_file(tmp_path, moto, anybody(moto))
    ended = run("--endpoint", moto.endpoint, "--keys", str(keys))
    assert ended.status == 1, ended.err
    for fact in FACTS:
        told = re.search(rf"^ *{re.escape(fact.question)} +(.*?) *$", ended.out, re.MULTILINE)
        assert told, fact.question
        assert told[1] == page.column(TEXT, MOTO).answers[fact.name], f"{fact.name}: {ANEW}"
    assert "May be lost: Whoever reaches the store can see, replace and delete" in ended.out
    assert "Do not trust this store with pictures" in ended.out
    assert moto.secret_key not in ended.out + ended.err
    buckets = client(moto).list_buckets().get("Buckets", [])
    assert [one["Name"] for one in buckets if one["Name"].startswith(PREFIX)] == []


def test_machines_are_told_what_the_page_says_of_rclone(rclone: ObjectStore) -> None:
    keys = {"AWS_ACCESS_KEY_ID": rclone.access_key, "AWS_SECRET_ACCESS_KEY": rclone.secret_key}
    ended = run("--endpoint", rclone.endpoint, "--json", **keys)
    found = json.loads(ended.out)
    assert (ended.status, found["trusted"]) == (1, False)
    assert read(RCLONE, ended.out) == page.column(TEXT, RCLONE), ANEW
    assert "delete-if-match" in {loss["name"] for loss in found["losses"]}
    assert rclone.secret_key not in ended.out + ended.err
