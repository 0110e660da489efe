"""A secret parameter of a pipeline: nowhere in plain, and the worker still gets it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.machine.process.machine import ProcessMachine
from tests.checkout import open_folder
from tests.engine import secret_search
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.eventually import eventually

STACK = ("--stack", "lab")
#: Both are a width in pixels, and found in no other text.
SECRET, PLAIN = "000000000000007391", "000000000000006173"
LEAF = "image-pipeline:pipelines.hidden.parameters.width"
ENVIRONMENT = 'eval "$(./pipeline env --stack lab)" && '


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """All that commands have said."""
    return []


@pytest.fixture(scope="module")
def operator(pulumi: Path, printed: list[str]) -> Iterator[CloudOperator]:
    """An operator whose stack `lab` is up, with a secret parameter and one that is not."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY, "--set", "protectData=false")
        made.define("lab", "hidden", transform="thumbnail", outputKey=f"{PLAIN}-{{name}}")
        made.define("lab", "shown", transform="thumbnail", parameters={"width": PLAIN})
        printed.append(shell(made, f"pulumi config set --secret --path '{LEAF}'", SECRET))
        for command in ("preview", "up"):
            answer = made.checkout.pipeline(command, *STACK)
            printed.append(answer.stdout + answer.stderr)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def shell(operator: CloudOperator, command: str, given: str = "") -> str:
    """Type a command of `pulumi`, which reads `given`; return all that it says."""
    answer = subprocess.run(
        ["/bin/sh", "-c", ENVIRONMENT + command],
        cwd=operator.checkout.folder,
        env=operator.checkout.environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def machine(operator: CloudOperator) -> ProcessMachine:
    (only,) = operator.cloud.machines()
    assert isinstance(only, ProcessMachine)
    return only


def test_secret_is_encrypted_in_the_settings(operator: CloudOperator) -> None:
    file = operator.settings_file("lab").read_text()
    assert SECRET not in file
    parameters = yaml.safe_load(file)["config"]["image-pipeline:pipelines"]["hidden"]["parameters"]
    assert set(parameters["width"]) == {"secure"}
    listed = operator.checkout.pipeline("pipelines", "list", *STACK).stdout
    assert "hidden" in listed


def test_worker_gets_the_secret(operator: CloudOperator) -> None:
    host = machine(operator)
    eventually(host.settings.exists)
    assert SECRET in host.settings.read_text()
    store, outputs = operator.s3(), operator.checkout.json("outputs", *STACK)
    photo = (operator.checkout.folder / "samples" / "cat.jpg").read_bytes()
    pipeline = outputs["pipelines"]["hidden"]
    store.put_object(Bucket=pipeline["inputBucket"], Key="cat.jpg", Body=photo)
    eventually(
        lambda: store.list_objects_v2(Bucket=pipeline["outputBucket"]).get("Contents"), seconds=120
    )


def test_state_holds_it_only_encrypted(operator: CloudOperator) -> None:
    plain = "\n".join(secret_search.texts(json.loads(shell(operator, "pulumi stack export"))))
    assert SECRET not in plain
    assert PLAIN in plain  # the outputs' key pattern
    decrypted = json.loads(shell(operator, "pulumi stack export --show-secrets"))
    assert SECRET in "\n".join(secret_search.texts(decrypted))  # the search finds it where it is


def test_no_file_of_the_backend_holds_it(operator: CloudOperator) -> None:
    found = [path for path in operator.data.rglob("*") if path.is_file()]
    holding = {path: path.read_bytes() for path in found}
    assert any(PLAIN.encode() in content for content in holding.values())
    assert not [path for path, content in holding.items() if SECRET.encode() in content]


def test_outputs_and_messages_do_not_show_it(operator: CloudOperator, printed: list[str]) -> None:
    shown = operator.checkout.pipeline("outputs", "--show-secrets", "--json", *STACK).stdout
    assert PLAIN in shown
    host = machine(operator)
    said = [shown, host.journal.read_text(), host.run_worker(["log", "--json"]).stdout, *printed]
    assert all(said[:3])
    assert not [text for text in said if SECRET in text]


def test_fault_of_a_secret_does_not_show_it(operator: CloudOperator) -> None:
    before = operator.settings_file("lab").read_text()
    shell(operator, f"pulumi config set --secret --path '{LEAF}'", f"{SECRET}x")
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    expected = "pipelines.hidden.parameters.width is [secret]: set it to a whole number"
    assert expected in answer.stderr
    assert SECRET not in answer.stdout + answer.stderr
    operator.settings_file("lab").write_text(before)


def test_destroy_reads_the_encrypted_settings(operator: CloudOperator) -> None:
    """They say which pipelines the stack has, so that their buckets may be purged."""
    store = operator.s3()
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert not store.list_buckets()["Buckets"]
