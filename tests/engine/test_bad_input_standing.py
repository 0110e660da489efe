"""Bad moments: what a person gets while a stack is made, or when something of it was lost.

Each test leaves the stack `lab` as it found it, so that the next begins from one that stands.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from local.api.state import DATABASES
from tests.checkout import told_until
from tests.engine.refusals import s3
from tests.engine.researcher import Researcher

STACK = ("--stack", "lab")
STATE_FILE = ".pulumi/stacks/image-pipeline/lab.json"


def state(person: Researcher) -> Path:
    """The folder of Pulumi's file backend."""
    return person.data / "state"


def test_a_database_that_is_never_built(person: Researcher) -> None:
    """Where its data would go, the cloud has no room: Trove tells ERROR while it builds."""
    in_the_way = person.cloud.folder / DATABASES
    in_the_way.touch()
    answer = person.checkout.pipeline("up", *STACK, code=1)
    assert "is in status ERROR: " in answer.stderr
    assert "destroy --data" in answer.stderr
    assert "Traceback" not in answer.stderr
    in_the_way.unlink()
    person.checkout.pipeline("destroy", "--data", "--yes", *STACK)  # the next test's up succeeds


def test_an_up_that_was_killed_goes_on(person: Researcher) -> None:
    """Of what was asked for in that moment the state may not know: then that is told."""
    process = person.checkout.start("up", *STACK)
    told_until(process, "created  BucketClaim")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    answer = person.checkout.pipeline("up", *STACK, code=None)
    if answer.returncode:
        assert "./pipeline strays --stack lab --remove" in answer.stderr
        person.checkout.pipeline("strays", "--remove", "--yes", *STACK)
        person.checkout.pipeline("up", *STACK)
    assert "No change." in person.checkout.pipeline("preview", *STACK).stdout


def test_a_demo_does_not_touch_a_deployed_stack(person: Researcher) -> None:
    answer = person.checkout.pipeline("demo", *STACK, code=1)
    assert "is deployed already, and a demo ends by destroying it" in answer.stderr
    assert len(list(person.openstack().compute.servers())) == 1


def test_two_ups_at_once(person: Researcher) -> None:
    first = person.checkout.start("refresh", *STACK)
    assert first.stdout is not None
    first.stdout.readline()
    second = person.checkout.pipeline("up", *STACK, code=1)
    assert "Another ./pipeline command is changing stack 'lab': wait" in second.stderr
    assert first.wait(120) == 0
    first.stdout.close()
    person.checkout.pipeline("up", *STACK)


def test_a_lock_of_somebody_else_is_not_lifted(person: Researcher) -> None:
    folder = state(person) / ".pulumi/locks/organization/image-pipeline/lab"
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "1b4b.json"
    lock.write_text(
        '{"pid": 4242, "username": "anna", "hostname": "elsewhere", '
        '"timestamp": "2026-11-24T09:00:00Z"}'
    )
    answer = person.checkout.pipeline("up", *STACK, code=1)
    assert "'lab' is being changed by another command: wait" in answer.stderr
    lock.unlink()
    person.checkout.pipeline("outputs", *STACK)


def test_a_wrong_passphrase(person: Researcher) -> None:
    file = person.data / "stacks" / "lab" / "passphrase"
    kept = file.read_text()
    file.write_text("guessed\n")
    answer = person.checkout.pipeline("up", *STACK, code=1)
    assert "passphrase does not fit" in answer.stderr
    assert "init lab --passphrase-file" in answer.stderr
    file.unlink()
    answer = person.checkout.pipeline("up", *STACK, code=1)
    assert f"not at {file}: restore the file" in answer.stderr
    elsewhere = person.base / "from-a-colleague"
    elsewhere.write_text(kept)
    person.checkout.pipeline("init", "lab", "--passphrase-file", str(elsewhere))
    person.checkout.pipeline("outputs", *STACK)
    file.write_text(kept)
    person.checkout.pipeline("init", "lab", "--passphrase-file", str(file))


def test_a_colleague_takes_over(person: Researcher) -> None:
    """With the state, the passphrase and the stack's file; nothing is replaced."""
    home = person.base / "colleague"
    shutil.copytree(person.base / "home" / ".config", home / ".config")
    theirs = {**person.checkout.environment, "HOME": str(home)}
    passphrase = person.data / "stacks" / "lab" / "passphrase"
    for words, told in (
        (["up", *STACK], "'./pipeline init lab' makes it, or takes over"),
        (
            ["init", "lab", "--state", str(state(person)), "--passphrase-file", str(passphrase)],
            "No problems found",
        ),
        (["preview", *STACK], "No change."),
    ):
        answer = subprocess.run(
            person.checkout.command(*words),
            cwd=person.checkout.folder,
            env=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told in answer.stdout + answer.stderr, answer.stderr


def test_a_lost_state_is_told_and_put_back(person: Researcher) -> None:
    """Keys of the store bear no name: what the lost state had made is told with everybody's."""
    ours = person.checkout.json("outputs", *STACK, "--show-secrets")["s3AccessKey"]
    kept = state(person).rename(person.base / "kept-state")
    answer = person.checkout.pipeline("up", *STACK, code=1)
    for told in ("machine image-pipeline-lab-vm", "floating IP 127.", "database", "strays"):
        assert told in answer.stderr
    answer = person.checkout.pipeline("strays", *STACK)
    assert re.search(r"^key pair +image-pipeline-lab-operator", answer.stdout, re.MULTILINE)
    assert re.search(rf"keys of the object store .*{ours}.* ec2 credentials delete", answer.stderr)
    shutil.rmtree(state(person), ignore_errors=True)
    kept.rename(state(person))
    answer = person.checkout.pipeline("strays", *STACK)
    assert "nothing that the state does not know" in answer.stdout
    assert ours not in answer.stderr
    person.checkout.pipeline("up", *STACK)


def test_what_the_state_has_lost_is_left_neither_silently_nor_to_others(
    person: Researcher,
) -> None:
    """Its port uses its security group; its address costs money."""
    forget(person, "port")
    answer = person.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=1)
    assert "Port image-pipeline-lab-port" in answer.stderr
    assert "carries this stack's name" in answer.stderr
    assert "'./pipeline strays --remove --stack lab'" in answer.stderr
    assert "not this stack's" not in answer.stderr
    person.checkout.pipeline("strays", "--remove", "--yes", *STACK)
    forget(person, "floating-ip")
    answer = person.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=1)
    assert "Nothing is left" not in answer.stdout
    assert "floating IP 127." in answer.stderr
    answer = person.checkout.pipeline("destroy", *STACK, code=1)
    assert "floating IP 127." in answer.stderr
    person.checkout.pipeline("strays", "--remove", "--yes", *STACK)
    assert "nothing to take down" in person.checkout.pipeline("destroy", *STACK).stdout
    assert list(person.openstack().network.ips()) == []
    person.checkout.pipeline("up", *STACK)


def forget(person: Researcher, name: str) -> None:
    """Remove a resource from the state, with what depends on it."""
    urns = [
        each["urn"]
        for each in json.loads((state(person) / STATE_FILE).read_text())["checkpoint"]["latest"][
            "resources"
        ]
    ]
    [urn] = [urn for urn in urns if urn.endswith(f"::{name}")]
    command = f"pulumi state delete --yes --force --target-dependents --stack lab '{urn}'"
    subprocess.run(
        ["/bin/sh", "-c", f'eval "$(./pipeline env --stack lab)" && {command}'],
        cwd=person.checkout.folder,
        env=person.checkout.environment,
        check=True,
        capture_output=True,
    )


def test_a_database_that_failed(person: Researcher) -> None:
    """Its server is killed: Trove tells ERROR, and so do we, with what to do."""
    port = person.checkout.json("outputs", *STACK)["databasePort"]
    [server] = {
        each.pid
        for each in psutil.net_connections("tcp4")
        if each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }
    os.kill(server or 0, signal.SIGKILL)
    person.change("lab", databaseCidrs=["192.0.2.0/24"])
    answer = person.checkout.pipeline("up", *STACK, code=1)
    assert "is in status ERROR" in answer.stderr
    assert "destroy --data" in answer.stderr
    assert "Traceback" not in answer.stderr
    person.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    person.checkout.pipeline("up", *STACK)


def test_a_full_disk_is_seen_before_it_cuts_the_state_off(person: Researcher) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    kept = state(person).rename(person.base / "kept-state")
    state(person).mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state(person))]
    subprocess.run(mount, check=True)
    try:
        answer = person.checkout.pipeline("up", *STACK, code=1)
    finally:
        subprocess.run(["umount", str(state(person))], check=True)
    assert f"{state(person)} has 1 MiB left: free" in answer.stderr
    state(person).rmdir()
    kept.rename(state(person))
    person.checkout.pipeline("up", *STACK)


def test_a_state_that_was_cut_off_is_mended(person: Researcher) -> None:
    file = state(person) / ".pulumi/stacks/image-pipeline/lab.json"
    file.write_text(file.read_text()[:1000])
    answer = person.checkout.pipeline("outputs", *STACK)
    assert "restored the engine's last copy of it" in answer.stderr
    attributes = file.with_name(f"{file.name}.attrs")  # written beside each file of a state
    assert attributes.read_text()
    attributes.write_text("")
    person.checkout.pipeline("up", *STACK)
    assert "No change." in person.checkout.pipeline("preview", *STACK).stdout


def test_an_upload_that_comes_when_the_buckets_were_emptied(person: Researcher) -> None:
    """The cloud is held up between the two: it then has a bucket to remove that is not empty."""
    store, bucket = s3(person), person.checkout.json("outputs", *STACK)["inputBucket"]
    daemon = next(
        each
        for each in psutil.process_iter(["cmdline"])  # those that end meanwhile are left out
        if {"local.daemon", str(person.cloud.folder)} <= set(each.info["cmdline"] or ())
    )
    destroy = person.checkout.start("destroy", "--data", "--yes", *STACK)
    assert destroy.stdout is not None
    told = ""
    for line in destroy.stdout:
        told += line
        if "deleted  Instance vm" in line:
            daemon.suspend()
        if "deleted  BucketContents input-contents" in line:
            store.put_object(Bucket=bucket, Key="late.jpg", Body=b"late")
            daemon.resume()
    assert destroy.wait(60) == 0, told
    destroy.stdout.close()
    assert f"Uploads came to bucket {bucket} after it had been emptied" in told
    assert "Nothing is left of it." in told
    assert bucket not in {each["Name"] for each in store.list_buckets()["Buckets"]}


def test_nothing_is_left(person: Researcher) -> None:
    deadline = time.monotonic() + 20
    while person.cloud.machines():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "Stack 'lab' is not deployed" in person.checkout.pipeline("destroy", *STACK).stdout
