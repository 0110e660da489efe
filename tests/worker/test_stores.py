"""docs/object-stores.md agrees with the stores; tests/openstack checks Ceph's column."""

import json
import re
from pathlib import Path

import pytest

from cli.check_store.checks import CHECKS
from cli.check_store.scratch_buckets import PREFIX
from local.object_store import ObjectStore
from tests.stores import page
from tests.stores.checked import MOTO, RCLONE, read, version_of, with_other_keys
from tests.stores.command import keys_file, run
from tests.worker.pipeline import client

TEXT = page.PAGE.read_text(encoding="utf-8")
REWRITE = f"rewrite it: {page.COMMAND}"


def test_the_page_is_current() -> None:
    assert page.render(page.read(TEXT)) == TEXT, REWRITE


@pytest.mark.parametrize("name", [MOTO, RCLONE])
def test_the_page_is_about_the_installed_versions(name: str) -> None:
    assert page.column(TEXT, name).version == version_of(name), REWRITE


def test_the_text_agrees_with_the_page_on_moto(moto: ObjectStore, tmp_path: Path) -> None:
    """Moto accepts any key: fine on loopback, not for photos of value."""
    keys = keys_file(tmp_path, moto, with_other_keys(moto))
    ended = run("--endpoint", moto.endpoint, "--keys", str(keys))
    assert ended.status == 1, ended.err
    for check in CHECKS:
        shown = re.search(rf"^ *{re.escape(check.statement)} +(.*?) *$", ended.out, re.MULTILINE)
        assert shown, check.statement
        assert shown[1] == page.column(TEXT, MOTO).results[check.name], f"{check.name}: {REWRITE}"
    assert "May be lost: Whoever reaches the store can read, replace and delete" in ended.out
    assert "Do not trust this store with photos" in ended.out
    assert moto.secret_key not in ended.out + ended.err
    buckets = client(moto).list_buckets().get("Buckets", [])
    assert [one["Name"] for one in buckets if one["Name"].startswith(PREFIX)] == []


def test_the_json_agrees_with_the_page_on_rclone(rclone: ObjectStore) -> None:
    keys = {"AWS_ACCESS_KEY_ID": rclone.access_key, "AWS_SECRET_ACCESS_KEY": rclone.secret_key}
    ended = run("--endpoint", rclone.endpoint, "--json", **keys)
    found = json.loads(ended.out)
    assert (ended.status, found["safe"]) == (1, False)
    assert read(RCLONE, ended.out) == page.column(TEXT, RCLONE), REWRITE
    assert "delete-if-match" in {finding["name"] for finding in found["findings"]}
    assert rclone.secret_key not in ended.out + ended.err
