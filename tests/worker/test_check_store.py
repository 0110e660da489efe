"""`./pipeline check-store` as a person uses it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.check_store.ground import PREFIX
from local.object_store import ObjectStore
from tests.eventually import eventually
from tests.worker.pipeline import ROOT, client

SHAPE = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "check-store", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "COLUMNS": "200"}
        | environment,
    )


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    with started(*arguments, **environment) as process:
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err


@pytest.fixture
def keys(tmp_path: Path, moto: ObjectStore) -> Path:
    """A file of keys, as AWS's tools have it."""
    file = tmp_path / "keys"
    file.write_text(SHAPE.format(moto.access_key, moto.secret_key))
    file.chmod(0o600)
    return file


def own_buckets(store: ObjectStore) -> list[str]:
    names = [bucket["Name"] for bucket in client(store).list_buckets().get("Buckets", [])]
    return [name for name in names if name.startswith(PREFIX)]


def test_a_store_that_cannot_be_trusted_is_said_to_be_one(moto: ObjectStore, keys: Path) -> None:
    """moto takes every key: fine on loopback, not for pictures of value."""
    status, out, err = run("--endpoint", moto.endpoint, "--keys", str(keys))
    assert status == 1, err
    assert "May be lost: Whoever reaches the store can see, replace and delete pictures" in out
    assert "Do not trust this store with pictures" in out
    assert moto.secret_key not in out + err
    assert own_buckets(moto) == []


def test_machines_can_read_it(rclone: ObjectStore) -> None:
    keys = {"AWS_ACCESS_KEY_ID": rclone.access_key, "AWS_SECRET_ACCESS_KEY": rclone.secret_key}
    status, out, err = run("--endpoint", rclone.endpoint, "--json", **keys)
    found = json.loads(out)
    assert (status, found["trusted"]) == (1, False), err
    answers = {fact["name"]: fact["answer"] for fact in found["facts"]}
    assert answers["versions"] == "501 NotImplemented"
    assert answers["versions-order"] == "–"
    assert "delete-if-match" in {loss["name"] for loss in found["losses"]}
    assert rclone.secret_key not in out + err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "TERM"])
def test_an_interrupted_check_leaves_nothing(
    moto: ObjectStore, keys: Path, number: signal.Signals
) -> None:
    with started("--endpoint", moto.endpoint, "--keys", str(keys)) as process:
        eventually(lambda: own_buckets(moto))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert "Traceback" not in err
    assert own_buckets(moto) == []


NOTHING_LISTENS = ("--endpoint", "http://127.0.0.1:9")
REFUSED = {
    "no store": ((), "Which store? Say --stack NAME"),
    "two stores": (("--stack", "local", *NOTHING_LISTENS), "Which store? Say --stack NAME"),
    "no URL": (("--endpoint", "a3s.fi"), "'a3s.fi' is no http or https URL"),
    "no keys": (NOTHING_LISTENS, "The environment has no AWS_ACCESS_KEY_ID"),
    "no file": ((*NOTHING_LISTENS, "--keys", "/no/such"), "'/no/such' cannot be read"),
    "open file": ((*NOTHING_LISTENS, "--keys", "open"), "may be read by others (mode 0644)"),
    "no section": ((*NOTHING_LISTENS, "--keys", "empty"), "write a section [default]"),
    "nobody there": ((*NOTHING_LISTENS, "--keys", "keys"), "does not answer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_sentence_for_each_mistake(name: str, keys: Path) -> None:
    arguments, words = REFUSED[name]
    for file, text, mode in (("open", keys.read_text(), 0o644), ("empty", "", 0o600)):
        (keys.parent / file).write_text(text)
        (keys.parent / file).chmod(mode)
    here = {path.name: str(path) for path in keys.parent.iterdir()}
    status, out, err = run(*(here.get(argument, argument) for argument in arguments))
    assert status == 1
    assert words in err
    assert (out, err.count("\n")) == ("", 1)


def test_keys_that_may_make_no_bucket_are_one_sentence(rclone: ObjectStore, keys: Path) -> None:
    """The file's keys are another store's."""
    status, _, err = run("--endpoint", rclone.endpoint, "--keys", str(keys))
    assert status == 1
    assert "does not let these keys make a bucket (403 " in err
    assert err.count("\n") == 1
