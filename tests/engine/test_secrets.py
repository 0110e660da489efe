"""Secrets of pipelines, of their programs, and of the ways in: nowhere in plain, and still used.

The stack also has a folder of 25 MB, which the state must not hold, and a pipeline that gathers.
"""

import hashlib
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.machine.process.machine import ProcessMachine
from tests.checkout import open_folder
from tests.engine import secret_search
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.eventually import eventually, patience

STACK = ("--stack", "lab")
#: Both are a width in pixels, and found in no other text.
SECRET, PLAIN = "000000000000007391", "000000000000006173"
LEAF = "image-pipeline:pipelines.hidden.parameters.width"
#: A secret setting that programs read as a file.
TOKEN = "token-0055719243"
NAMES = ("negatives", "hidden", "shown", "splits", "model")
SHIPPED = ("lib", "merge", "split")
HIDDEN_VALUES = (SECRET, TOKEN)
CIDRS = ["192.0.2.0/24"]
CAMERAS = {"door": {"pipeline": "negatives"}}
#: A jar is as incompressible as this; it has the text that the state is searched for.
JAR = random.Random(7).randbytes(25_000_000) + b"end-of-the-jar"  # noqa: S311
SPLIT = """\
#!/bin/sh -e
cd "$1"
cat * > "$2/text"
sha256sum < "$CREDENTIALS_DIRECTORY/token" > "$2/token"
sha256sum < "$3/lib/train.jar" > "$2/jar"
ls -A "$3" > "$2/names"
"""
MERGE = """\
#!/bin/sh -e
cd "$1"
find . -type f | sort | xargs cat > "$2/merged"
"""
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
        make_folder(made.checkout.folder / "training")
        step: dict[str, Any] = {"transform": "command", "folder": "training", "secrets": ["token"]}
        argv = ["{folder}/split", "{inputs}", "{outputs}", "{folder}"]
        made.define("lab", "splits", **step, parameters={"argv": argv})
        argv = ["{folder}/merge", "{inputs}", "{outputs}"]
        step |= {"from": "splits", "gather": True}
        made.define("lab", "model", **step, parameters={"argv": argv})
        made.change("lab", upload={"cidrs": CIDRS}, mqtt={"cidrs": CIDRS, "cameras": CAMERAS})
        printed.append(shell(made, f"pulumi config set --secret --path '{LEAF}'", SECRET))
        printed.append(shell(made, "pulumi config set --secret token", TOKEN))
        for command in ("preview", "up"):
            answer = made.checkout.pipeline(command, *STACK)
            printed.append(answer.stdout + answer.stderr)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def make_folder(folder: Path) -> None:
    """What a user ships: two programs and a jar; its hidden file stays here."""
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/train.jar").write_bytes(JAR)
    (folder / ".env").write_text("PASSWORD=x")
    for name, text in (("split", SPLIT), ("merge", MERGE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


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
        timeout=300 * patience(),
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def machine(operator: CloudOperator) -> ProcessMachine:
    (only,) = operator.cloud.machines()
    assert isinstance(only, ProcessMachine)
    return only


@pytest.fixture(scope="module")
def derived(operator: CloudOperator) -> dict[str, str]:
    """Secrets that the program makes for the page, for uploads and for a camera, by name."""
    outputs = json.loads(
        operator.checkout.pipeline("outputs", "--show-secrets", "--json", *STACK).stdout
    )
    state = json.loads(shell(operator, "pulumi stack export --show-secrets"))
    (certificates,) = (
        each["outputs"]
        for each in state["deployment"]["resources"]
        if each["type"].endswith(":InterfaceCertificates")
    )
    found = {name: key_line(certificates[name]) for name in ("authority", "certificate")}
    found |= {name: outputs[name] for name in ("uploadToken", "pageKey")}
    return {**found, "camera": outputs["cameras"]["door"]["password"]}


def key_line(secret: dict[str, str]) -> str:
    """Return a line of the private key in a decrypted secret of the state."""
    return str(json.loads(secret["plaintext"])).strip().splitlines()[-2]


def test_secret_is_encrypted_in_the_settings(operator: CloudOperator) -> None:
    file = operator.settings_file("lab").read_text()
    assert not [secret for secret in HIDDEN_VALUES if secret in file]
    parameters = yaml.safe_load(file)["config"]["image-pipeline:pipelines"]["hidden"]["parameters"]
    assert set(parameters["width"]) == {"secure"}
    rows = operator.checkout.json("pipelines", "list", *STACK)
    assert {row["name"]: row["state"] for row in rows} == dict.fromkeys(NAMES, "deployed")
    assert next(row for row in rows if row["name"] == "hidden")["parameters"] == {
        "width": "[secret]"
    }


def test_the_ways_in_are_open_to_their_ranges_only(operator: CloudOperator) -> None:
    """By the cloud's own rules."""
    with operator.openstack() as cloud:
        rules = list(cloud.network.security_group_rules())
    assert {
        (rule.port_range_min, rule.port_range_max, rule.remote_ip_prefix) for rule in rules
    } == {
        (22, 22, "127.0.0.1/32"),
        *((port, port, cidr) for port in (443, 8883) for cidr in CIDRS),
    }


def test_worker_gets_the_secret(operator: CloudOperator) -> None:
    host = machine(operator)
    eventually(host.booted.exists)
    assert SECRET in host.settings.read_text()
    store, outputs = operator.s3(), operator.checkout.json("outputs", *STACK)
    photo = (operator.checkout.folder / "samples" / "cat.jpg").read_bytes()
    pipeline = outputs["pipelines"]["hidden"]
    store.put_object(Bucket=pipeline["inputBucket"], Key="cat.jpg", Body=photo)
    eventually(
        lambda: store.list_objects_v2(Bucket=pipeline["outputBucket"]).get("Contents"), seconds=120
    )


def test_programs_get_folder_and_secret(operator: CloudOperator) -> None:
    """A run: the file is split into four results, which another pipeline gathers into one."""
    store, outputs = operator.s3(), operator.checkout.json("outputs", *STACK)["pipelines"]
    splits, model = outputs["splits"], outputs["model"]
    store.put_object(Bucket=splits["inputBucket"], Key="configuration.json", Body=b"{}\n")
    found = eventually(
        lambda: store.list_objects_v2(Bucket=model["outputBucket"]).get("Contents"), seconds=180
    )
    (key,) = [each["Key"] for each in found]
    run, _, name = key.partition("/")
    assert (len(run), name) == (32, "configuration.json.1.json")
    merged = store.get_object(Bucket=model["outputBucket"], Key=key)["Body"].read().decode()
    jar, token = (hashlib.sha256(each).hexdigest() for each in (JAR, TOKEN.encode()))
    assert sorted(merged.split()) == sorted(["{}", f"{jar}", "-", token, "-", *SHIPPED])


def test_secrets_on_the_machine_are_private_and_on_no_command_line(
    operator: CloudOperator,
) -> None:
    found = secret_search.files_with(machine(operator).folder, HIDDEN_VALUES)
    assert machine(operator).root / "etc/pipeline/secrets/token" in found
    assert not [path for path in found if not secret_search.is_private(path)]
    processes = secret_search.processes()
    assert str(machine(operator).settings) in processes  # the worker's command line
    assert not [secret for secret in HIDDEN_VALUES if secret in processes]


def test_secrets_of_the_ways_in_are_private(
    operator: CloudOperator, derived: dict[str, str]
) -> None:
    host = machine(operator)
    secrets = list(derived.values())
    assert len(set(secrets)) == len(secrets)
    # The machine answers with this certificate and lets this camera in.
    for name, secret in (("camera-door", "camera"), ("interface-certificate", "certificate")):
        credential = host.root / "etc/pipeline/credentials" / name
        assert derived[secret] in credential.read_text()
    found = secret_search.files_with(host.folder, secrets)
    assert not [path for path in found if not secret_search.is_private(path)]
    assert not secret_search.files_with(host.folder, [derived["authority"]])
    processes, journal = secret_search.processes(), host.journal.read_text()
    shown = operator.checkout.pipeline("outputs", "--json", *STACK).stdout
    assert "uploadToken" in shown
    for text in (processes, journal, shown):
        assert not [name for name, secret in derived.items() if secret in text]


def test_state_holds_them_only_encrypted(operator: CloudOperator, derived: dict[str, str]) -> None:
    hidden = (*HIDDEN_VALUES, *derived.values())
    exported = shell(operator, "pulumi stack export")
    plain = "\n".join(secret_search.texts(json.loads(exported)))
    assert not [secret for secret in hidden if secret in plain]
    assert PLAIN in plain  # the outputs' key pattern
    decrypted = json.loads(shell(operator, "pulumi stack export --show-secrets"))
    found = "\n".join(secret_search.texts(decrypted))
    assert all(secret in found for secret in hidden)  # the search finds what is there
    assert len(exported) < len(JAR) / 50  # of the folder there is a hash


def test_no_file_of_the_backend_holds_them(
    operator: CloudOperator, derived: dict[str, str]
) -> None:
    found = [path for path in operator.data.rglob("*") if path.is_file()]
    holding = {path: path.read_bytes() for path in found}
    assert any(PLAIN.encode() in content for content in holding.values())
    for text in (*HIDDEN_VALUES, *derived.values(), "end-of-the-jar"):
        assert not [path for path, content in holding.items() if text.encode() in content]


def test_outputs_and_messages_do_not_show_it(
    operator: CloudOperator, printed: list[str], derived: dict[str, str]
) -> None:
    shown = operator.checkout.pipeline("outputs", "--show-secrets", "--json", *STACK).stdout
    assert PLAIN in shown
    host = machine(operator)
    said = [shown, host.journal.read_text(), host.run_worker(["log", "--json"]).stdout, *printed]
    assert all(said[:3])
    assert not [text for text in said for secret in HIDDEN_VALUES if secret in text]
    assert not [text for text in said[1:] for secret in derived.values() if secret in text]


def test_fault_of_a_secret_does_not_show_it(operator: CloudOperator) -> None:
    before = operator.settings_file("lab").read_text()
    shell(operator, f"pulumi config set --secret --path '{LEAF}'", f"{SECRET}x")
    answer = operator.checkout.pipeline("up", *STACK, code=1)
    expected = "pipelines.hidden.parameters.width is [secret]: set it to a whole number"
    assert expected in answer.stderr
    assert SECRET not in answer.stdout + answer.stderr
    operator.settings_file("lab").write_text(before)


def test_changed_folder_replaces_the_machine_alone(operator: CloudOperator) -> None:
    training = operator.checkout.folder / "training"
    (training / ".env").write_text("PASSWORD=y")
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout
    (training / "merge").write_text(f"{MERGE}# again\n")
    rows = operator.checkout.json("pipelines", "list", *STACK)
    changed = {row["name"] for row in rows if row["state"] == "to be changed"}
    assert changed == {"splits", "model"}
    answer = operator.checkout.pipeline("preview", *STACK)
    planned = re.findall(r"^  .*?(\w+) (\S+)$", answer.stdout + answer.stderr, re.MULTILINE)
    assert {kind for kind, _ in planned} == {"FolderArchive", "Instance"}


def test_destroy_reads_the_encrypted_settings(operator: CloudOperator) -> None:
    """They say which pipelines the stack has, so that their buckets may be purged."""
    store = operator.s3()
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert not store.list_buckets()["Buckets"]
