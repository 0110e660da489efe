"""Failures while the stack `lab` is deployed, or after something of it was lost, and the way back.

The tests are run in order: most leave the stack deployed for the next one.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from local import object_store
from local.api.state import DATABASES, STORE
from tests.checkout import output_until
from tests.engine.cloud_operator import CloudOperator
from tests.eventually import eventually, patience

STACK = ("--stack", "lab")
STATE_FILE = ".pulumi/stacks/image-pipeline/lab.json"


def state(operator: CloudOperator) -> Path:
    """The folder of Pulumi's file backend."""
    return operator.data / "state"


def test_database_that_fails_to_build(operator: CloudOperator) -> None:
    """The cloud has no space for its data: Trove reports ERROR while it builds."""
    in_the_way = operator.cloud.folder / DATABASES
    in_the_way.touch()
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    assert "is in status ERROR: " in answer.stderr
    assert "destroy --data" in answer.stderr
    assert "Traceback" not in answer.stderr
    in_the_way.unlink()
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)  # the next test's up succeeds


def test_killed_up_can_be_continued(operator: CloudOperator) -> None:
    """The state may lack the resource requested in that moment; then strays are reported."""
    process = operator.checkout.start("up", *STACK)
    output_until(process, "created  BucketClaim")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    answer = operator.checkout.pipeline("up", *STACK, code=None)
    if answer.returncode:
        assert "./pipeline strays --stack lab --remove" in answer.stderr
        operator.checkout.pipeline("strays", "--remove", "--yes", *STACK)
        operator.checkout.pipeline("up", *STACK)
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_demo_refuses_a_deployed_stack(operator: CloudOperator) -> None:
    answer = operator.checkout.pipeline("demo", *STACK, code=1)
    assert "is deployed already, and a demo ends by destroying it" in answer.stderr
    assert len(list(operator.openstack().compute.servers())) == 1


def test_second_command_is_refused(operator: CloudOperator) -> None:
    first = operator.checkout.start("refresh", *STACK)
    assert first.stdout is not None
    first.stdout.readline()
    os.killpg(first.pid, signal.SIGSTOP)  # it does not end before the second one has looked
    try:
        second = operator.checkout.pipeline("up", *STACK, code=1)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert "Another ./pipeline command is changing stack 'lab': wait" in second.stderr
    assert first.wait(120 * patience()) == 0
    first.stdout.close()
    operator.checkout.pipeline("up", *STACK)


def test_lock_of_another_computer_is_kept(operator: CloudOperator) -> None:
    folder = state(operator) / ".pulumi/locks/organization/image-pipeline/lab"
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "1b4b.json"
    lock.write_text(
        '{"pid": 4242, "username": "anna", "hostname": "elsewhere", '
        '"timestamp": "2026-11-24T09:00:00Z"}'
    )
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    assert "'lab' is being changed by another command: wait" in answer.stderr
    lock.unlink()
    operator.checkout.pipeline("outputs", *STACK)


def test_wrong_or_missing_passphrase(operator: CloudOperator) -> None:
    file = operator.data / "stacks" / "lab" / "passphrase"
    kept = file.read_text()
    file.write_text("guessed\n")
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    assert "passphrase does not fit" in answer.stderr
    assert "init lab --passphrase-file" in answer.stderr
    file.unlink()
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    assert f"not at {file}: restore the file" in answer.stderr
    elsewhere = operator.base / "from-a-colleague"
    elsewhere.write_text(kept)
    operator.checkout.pipeline("init", "lab", "--passphrase-file", str(elsewhere))
    operator.checkout.pipeline("outputs", *STACK)
    file.write_text(kept)
    operator.checkout.pipeline("init", "lab", "--passphrase-file", str(file))


def test_colleague_takes_over_the_stack(operator: CloudOperator) -> None:
    """With the state, the passphrase and the stack's file; nothing is replaced."""
    home = operator.base / "colleague"
    shutil.copytree(operator.base / "home" / ".config", home / ".config")
    theirs = {**operator.checkout.environment, "HOME": str(home)}
    passphrase = operator.data / "stacks" / "lab" / "passphrase"
    for words, expected in (
        (["up", *STACK], "'./pipeline init lab' makes it, or takes over"),
        (
            ["init", "lab", "--state", str(state(operator)), "--passphrase-file", str(passphrase)],
            "No problems found",
        ),
        (["preview", *STACK], "No change."),
    ):
        answer = subprocess.run(
            operator.checkout.command(*words),
            cwd=operator.checkout.folder,
            env=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in answer.stdout + answer.stderr, answer.stderr


def test_lost_state_is_detected_and_restored(operator: CloudOperator) -> None:
    """Access keys have no name: those of the lost state are listed with all others."""
    ours = operator.checkout.json("outputs", *STACK, "--show-secrets")["s3AccessKey"]
    kept = state(operator).rename(operator.base / "kept-state")
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    for expected in ("machine image-pipeline-lab-vm", "floating IP 127.", "database", "strays"):
        assert expected in answer.stderr
    answer = operator.checkout.pipeline("strays", *STACK)
    assert re.search(r"^key pair +image-pipeline-lab-operator", answer.stdout, re.MULTILINE)
    assert re.search(rf"keys of the object store .*{ours}.* ec2 credentials delete", answer.stderr)
    shutil.rmtree(state(operator), ignore_errors=True)
    kept.rename(state(operator))
    answer = operator.checkout.pipeline("strays", *STACK)
    assert "All cloud resources with the stack's names are in its state." in answer.stdout
    assert ours not in answer.stderr
    operator.checkout.pipeline("up", *STACK)


def test_failed_database_is_reported(operator: CloudOperator) -> None:
    """Its server is killed: Trove reports ERROR, and `up` says what to do."""
    port = operator.checkout.json("outputs", *STACK)["databasePort"]
    [server] = {
        each.pid
        for each in psutil.net_connections("tcp4")
        if each.laddr.port == port and each.status == psutil.CONN_LISTEN
    }
    os.kill(server or 0, signal.SIGKILL)
    operator.change("lab", databaseCidrs=["192.0.2.0/24"])
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    assert "is in status ERROR" in answer.stderr
    assert "destroy --data" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_resources_missing_from_the_state_are_found_by_destroy(
    operator: CloudOperator,
) -> None:
    """A port that still uses the security group, and a floating IP."""
    forget(operator, "port")
    answer = operator.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=1)
    assert "Port image-pipeline-lab-port" in answer.stderr
    assert "carries this stack's name" in answer.stderr
    assert "'./pipeline strays --remove --stack lab'" in answer.stderr
    assert "not this stack's" not in answer.stderr
    operator.checkout.pipeline("strays", "--remove", "--yes", *STACK)
    forget(operator, "floating-ip")
    answer = operator.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=1)
    assert "Nothing is left" not in answer.stdout
    assert "floating IP 127." in answer.stderr
    answer = operator.checkout.pipeline("destroy", *STACK, code=1)
    assert "floating IP 127." in answer.stderr
    operator.checkout.pipeline("strays", "--remove", "--yes", *STACK)
    assert "nothing to take down" in operator.checkout.pipeline("destroy", *STACK).stdout
    assert list(operator.openstack().network.ips()) == []
    operator.checkout.pipeline("up", *STACK)


def forget(operator: CloudOperator, name: str) -> None:
    """Remove a resource from the state, with what depends on it."""
    urns = [
        each["urn"]
        for each in json.loads((state(operator) / STATE_FILE).read_text())["checkpoint"]["latest"][
            "resources"
        ]
    ]
    [urn] = [urn for urn in urns if urn.endswith(f"::{name}")]
    command = f"pulumi state delete --yes --force --target-dependents --stack lab '{urn}'"
    subprocess.run(
        ["/bin/sh", "-c", f'eval "$(./pipeline env --stack lab)" && {command}'],
        cwd=operator.checkout.folder,
        env=operator.checkout.environment,
        check=True,
        capture_output=True,
    )


def test_full_disk_is_detected_before_up(operator: CloudOperator) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    kept = state(operator).rename(operator.base / "kept-state")
    state(operator).mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state(operator))]
    subprocess.run(mount, check=True)
    try:
        answer = operator.checkout.pipeline("up", *STACK, code=1)
    finally:
        subprocess.run(["umount", str(state(operator))], check=True)
    assert f"{state(operator)} has 1 MiB left: free" in answer.stderr
    state(operator).rmdir()
    kept.rename(state(operator))
    operator.checkout.pipeline("up", *STACK)


def test_truncated_state_is_restored(operator: CloudOperator) -> None:
    file = state(operator) / ".pulumi/stacks/image-pipeline/lab.json"
    file.write_text(file.read_text()[:1000])
    answer = operator.checkout.pipeline("outputs", *STACK)
    assert "restored the engine's last copy of it" in answer.stderr
    attributes = file.with_name(f"{file.name}.attrs")  # written beside each file of a state
    assert attributes.read_text()
    attributes.write_text("")
    operator.checkout.pipeline("up", *STACK)
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_upload_during_destroy_is_purged(operator: CloudOperator) -> None:
    """The cloud is suspended before the purge, so that a bucket to delete is not empty."""
    store, bucket = operator.s3(), operator.checkout.json("outputs", *STACK)["inputBucket"]
    daemon = next(
        each
        for each in psutil.process_iter(["cmdline"])  # those that end meanwhile are left out
        if {"local.daemon", str(operator.cloud.folder)} <= set(each.info["cmdline"] or ())
    )
    number = (operator.cloud.folder / STORE / f"{object_store.NAME}.pid").read_text()
    server = psutil.Process(int(number))
    server.suspend()  # nothing is purged before the cloud is suspended
    destroy = operator.checkout.start("destroy", "--data", "--yes", *STACK)
    assert destroy.stdout is not None
    limit = threading.Timer(300 * patience(), destroy.kill)
    limit.start()
    printed = ""
    try:
        for line in destroy.stdout:
            printed += line
            if "deleted  Instance vm" in line:
                daemon.suspend()
                server.resume()
            if "deleted  BucketContents input-contents" in line:
                store.put_object(Bucket=bucket, Key="late.jpg", Body=b"late")
                daemon.resume()
        assert destroy.wait(60 * patience()) == 0, printed
    finally:
        limit.cancel()
        server.resume()
        daemon.resume()
    destroy.stdout.close()
    assert f"Uploads came to bucket {bucket} after it had been emptied" in printed
    assert "Nothing is left of it." in printed
    assert bucket not in {each["Name"] for each in store.list_buckets()["Buckets"]}


def test_destroy_leaves_nothing(operator: CloudOperator) -> None:
    eventually(lambda: not operator.cloud.machines())
    assert "Stack 'lab' is not deployed" in operator.checkout.pipeline("destroy", *STACK).stdout
