"""What docs/object-stores.md says of Ceph, asked with a credential that Keystone has made."""

import json
from pathlib import Path

from local.object_store import ObjectStore
from tests.openstack.ceph import cluster
from tests.stores import page
from tests.stores.asked import CEPH, read
from tests.stores.command import keys_file, run


def test_the_page_says_what_ceph_answers(moto: ObjectStore, gateway: Path, tmp_path: Path) -> None:
    """Pictures are safe there; the other owner is a user of the gateway's own."""
    keys = keys_file(tmp_path, moto, cluster.owner(gateway, "other"))
    ended = run("--endpoint", moto.endpoint, "--keys", str(keys), "--json")
    assert ended.status == 0, (ended.out, ended.err)
    assert json.loads(ended.out)["trusted"]
    written = page.column(page.PAGE.read_text(encoding="utf-8"), CEPH)
    assert read(CEPH, ended.out).answers == written.answers, f"write it anew: {page.COMMAND}"
