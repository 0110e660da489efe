"""docs/object-stores.md agrees with Ceph, checked with a credential that Keystone created."""

import json
from pathlib import Path

from local.object_store import ObjectStore
from tests.openstack.ceph import cluster
from tests.stores import page
from tests.stores.checked import CEPH, read
from tests.stores.command import keys_file, run


def test_the_page_agrees_with_ceph(moto: ObjectStore, gateway: Path, tmp_path: Path) -> None:
    """Photos are safe there; the other owner is a user of the gateway's own."""
    keys = keys_file(tmp_path, moto, cluster.owner(gateway, "other"))
    ended = run("--endpoint", moto.endpoint, "--keys", str(keys), "--json")
    assert ended.out, ended.err
    written = page.column(page.PAGE.read_text(encoding="utf-8"), CEPH)
    assert read(CEPH, ended.out).results == written.results, f"rewrite it: {page.COMMAND}"
    assert json.loads(ended.out)["safe"]
    assert ended.status == 0, ended.err
