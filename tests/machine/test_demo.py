"""`./pipeline demo --machine container`: cloud-init and the timer do all the work."""

import os
import signal
from pathlib import Path

import pytest

from local.machine import debian_tree
from local.machine.nspawn.machine import missing
from tests.checkout import Checkout, output_until
from tests.engine.snapshot import take_snapshot
from tests.engine.test_demo import assert_demo_tells_all
from tests.machine.guest import eventually


@pytest.mark.parametrize("suite", debian_tree.SUITES)
def test_demo_in_a_container(checkout: Checkout, base: Path, suite: str) -> None:
    before = take_snapshot(base)
    text = checkout.pipeline("demo", "--machine", "container", "--suite", suite).stdout
    assert_demo_tells_all(text)
    assert take_snapshot(base).left_since(before) == {}
    assert not (checkout.folder / ".local").exists()


def test_destroy_cleans_up_after_a_killed_demo(checkout: Checkout, base: Path) -> None:
    before = take_snapshot(base)
    demo = checkout.start("demo", "--machine", "container")
    output_until(demo, r"created +Instance\b")
    os.killpg(demo.pid, signal.SIGKILL)
    demo.wait()
    (folder,) = (checkout.folder / ".local/cloud/machines").iterdir()
    refused = checkout.pipeline("up", "--machine", "process", code=1)
    assert "deployed with a machine of kind 'container'" in refused.stderr
    checkout.pipeline("destroy")
    eventually(lambda: take_snapshot(base).left_since(before) == {}, 20, "nothing is left")
    assert not list(Path("/sys/fs/cgroup").glob(f"*/image-pipeline-{folder.name}"))
    assert not list(Path("/sys/fs/cgroup").glob(f"image-pipeline-{folder.name}"))


def test_without_root_the_reason_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert missing() == (
        "Machines of kind 'container' need root: become root, or leave out '--machine container'."
    )


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, able: None) -> None:
    del able
    monkeypatch.setenv("PATH", "/nonexistent")
    reason = missing()
    assert reason is not None
    assert "mmdebstrap, systemd-nspawn, slirp4netns" in reason
