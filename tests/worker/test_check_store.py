"""`./pipeline check-store` interrupted, and used wrongly; results are in test_stores.py."""

import json
import signal
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest

from bench.proxy import Proxy, Response
from cli.check_store.scratch_buckets import PREFIX
from local.object_store import ObjectStore
from tests.eventually import patience
from tests.stores.command import keys_file, run, start
from tests.worker.pipeline import client
from tests.worker.scripted_store import error


@pytest.fixture
def keys(tmp_path: Path, moto: ObjectStore) -> Path:
    """A file of keys, as AWS's tools have it."""
    return keys_file(tmp_path, moto)


def own_buckets(store: ObjectStore) -> list[str]:
    names = [bucket["Name"] for bucket in client(store).list_buckets().get("Buckets", [])]
    return [name for name in names if name.startswith(PREFIX)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "TERM"])
def test_an_interrupted_check_leaves_nothing(
    moto: ObjectStore, keys: Path, number: signal.Signals
) -> None:
    """With a region, which the store requires to create a bucket, as AWS does."""
    address, has_buckets, is_interrupted = urlsplit(moto.endpoint), Event(), Event()

    def hold(_: int, phase: str, _request: bytes) -> None:
        if phase == "before" and not is_interrupted.is_set() and own_buckets(moto):
            has_buckets.set()
            is_interrupted.wait()

    with Proxy(str(address.hostname), address.port or 80, hold) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        command = ("--endpoint", endpoint, "--keys", str(keys), "--region", "eu-north-1")
        with start(*command) as process:
            try:
                assert has_buckets.wait(60 * patience())
                process.send_signal(number)
            finally:
                is_interrupted.set()
            _, err = process.communicate(timeout=60 * patience())
    assert process.returncode not in (0, None)
    assert "Traceback" not in err
    assert own_buckets(moto) == []


def test_an_error_of_the_store_is_not_taken_for_access(rclone: ObjectStore, tmp_path: Path) -> None:
    address = urlsplit(rclone.endpoint)

    def fail(_: int, phase: str, request: bytes) -> Response | None:
        """Answer requests without keys to delete an object."""
        is_anonymous = request.startswith(b"DELETE") and b"authorization" not in request.lower()
        return (
            Response(error(501, "NotImplemented")) if phase == "before" and is_anonymous else None
        )

    with Proxy(str(address.hostname), address.port or 80, fail) as proxy:
        keys = keys_file(tmp_path, rclone)
        ended = run("--endpoint", f"http://127.0.0.1:{proxy.port}", "--keys", str(keys), "--json")
    found = json.loads(ended.out)
    results = {one["name"]: one["result"] for one in found["checks"]}
    assert results["anonymous"] == "delete: 501 NotImplemented"
    sentences = {one["name"]: one["sentence"] for one in found["findings"]}
    assert "neither gives a stranger what was asked for" in sentences["anonymous"]


NOTHING_LISTENS = ("--endpoint", "http://127.0.0.1:9")
REFUSED = {
    "no store": ((), "Which store? Give --stack NAME"),
    "two stores": (("--stack", "local", *NOTHING_LISTENS), "Which store? Give --stack NAME"),
    "no URL": (("--endpoint", "a3s.fi"), "'a3s.fi' is not an http or https URL"),
    "no keys": (NOTHING_LISTENS, "AWS_ACCESS_KEY_ID is not set"),
    "no file": ((*NOTHING_LISTENS, "--keys", "/no/such"), "'/no/such' cannot be read"),
    "open file": ((*NOTHING_LISTENS, "--keys", "open"), "can be read by others (mode 0644)"),
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
    ended = run(*(here.get(argument, argument) for argument in arguments))
    assert ended.status == 1
    assert words in ended.err
    assert (ended.out, ended.err.count("\n")) == ("", 1)


def test_keys_that_may_not_create_buckets_are_one_sentence(rclone: ObjectStore, keys: Path) -> None:
    """The file's keys are another store's."""
    ended = run("--endpoint", rclone.endpoint, "--keys", str(keys))
    assert ended.status == 1
    assert "refused to create a bucket (403 " in ended.err
    assert ended.err.count("\n") == 1
