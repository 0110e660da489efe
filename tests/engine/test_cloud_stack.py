"""The commands of docs/csc.md, typed at a terminal, on a cloud that is reached by clouds.yaml."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.machine.process.machine import ProcessMachine
from tests.checkout import PROJECT, open_folder
from tests.engine.browser import signs_in
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.engine.ssh_server import ssh_server
from tests.engine.terminal import Terminal
from tests.eventually import eventually

STACK = ("--stack", "lab")
DOCUMENT = PROJECT / "docs" / "csc.md"
#: The commands of the document, in order; each is typed verbatim.
DOCUMENTED = iter(
    line.split()[1:]
    for block in re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
)


@pytest.fixture(scope="module")
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator with a clouds.yaml and an SSH key, and nothing else."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        yield made


@pytest.fixture(scope="module")
def exit_stack() -> Iterator[ExitStack]:
    """An exit stack that is closed after the last test."""
    with ExitStack() as stack:
        yield stack


def terminal(operator: CloudOperator, *words: str) -> Terminal:
    """Type a command."""
    checkout = operator.checkout
    return Terminal(checkout.command(*words), checkout.folder, checkout.environment)


def documented(operator: CloudOperator, command: str, *more: str) -> Terminal:
    """Type the document's next command, which must be this one."""
    words = next(DOCUMENTED)
    assert words[0] == command
    return terminal(operator, *words, *more)


def test_init_asks_for_what_is_missing(operator: CloudOperator) -> None:
    with documented(operator, "init", *LOCALLY) as session:
        session.expect("Entry for machine and buckets: local")
        session.answer("Number or name [Ubuntu-24.04]", "2")
        session.answer("[standard.tiny]")
        session.answer("[17]")
        session.answer("[standard.small]")
        session.answer("Volume of the database in GiB", "2")
        session.answer("Address that may log in over ssh", "127.0.0.1/32")
        for role in ("input", "output", "quarantine"):
            session.answer(f"Name of the {role} bucket")
        session.answer("state, outside git")
        shown = session.end()
    assert "total" in shown
    assert "./pipeline up --stack lab" in shown
    settings = operator.settings_file("lab").read_text()
    assert 'image-pipeline:image: "Ubuntu-24.04"' in settings
    assert "image-pipeline:databaseVolumeSize: 2" in settings
    assert modes(operator.data) <= {0o600, 0o700}


def modes(folder: Path) -> set[int]:
    """Of the folder and all below it."""
    return {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}


def test_cost_is_an_estimate(operator: CloudOperator) -> None:
    with documented(operator, "cost") as session:
        shown = session.end()
    assert re.search(r"total +2.47 +1803", shown)  # two GiB
    assert "Estimated by docs/costs.md" in shown


def test_up_shows_what_it_creates(operator: CloudOperator, exit_stack: ExitStack) -> None:
    with documented(operator, "up") as session:
        session.expect("created  TroveReady")
        assert "./pipeline put" in session.end()
    [machine] = operator.cloud.machines()
    assert isinstance(machine, ProcessMachine)
    key = operator.base / "home" / ".ssh" / "id_ed25519.pub"
    [ip] = operator.openstack().network.ips()
    client = exit_stack.enter_context(
        ssh_server(machine, ip.floating_ip_address, key, operator.base)
    )
    path = os.pathsep.join([str(client), operator.checkout.environment["PATH"]])
    operator.checkout.environment["PATH"] = path


def test_page_is_opened_through_a_tunnel_until_ctrl_c(operator: CloudOperator) -> None:
    with terminal(operator, "web", "--print", *STACK) as session:
        session.expect("Ctrl-C ends it")
        (login,) = re.findall(r"http://127.0.0.1:\d+/login\?key=\S+", session.shown)
        assert signs_in(login)
        session.type("\x03")
        session.end()
    with pytest.raises(ConnectionRefusedError):
        signs_in(login)


def test_photo_is_negated(operator: CloudOperator) -> None:
    with documented(operator, "put") as session:
        assert "Sent 1" in session.end()
    eventually(lambda: "cat.jpg" in operator.checkout.pipeline("log", *STACK, code=None).stdout)
    with documented(operator, "status") as session:
        assert "database and object store, from the machine" in session.end()
    with documented(operator, "log") as session:
        assert re.search(r"negated_cat.jpg +[0-9a-f]{16}", session.end())
    with documented(operator, "get") as session:
        assert "negated_cat.jpg" in session.end()
    assert (operator.checkout.folder / "negated_cat.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_logs_are_read_from_the_machine(operator: CloudOperator) -> None:
    [machine] = operator.cloud.machines()
    eventually(lambda: '"event": "done"' in machine.console.read_text())
    with terminal(operator, "logs", "-n", "20", *STACK) as session:
        assert '"event": "done"' in session.end()


def test_ssh_opens_a_shell(operator: CloudOperator) -> None:
    with terminal(operator, "ssh", *STACK) as session:
        session.answer("", "cd /opt/pipeline/source && ls worker")
        assert "requirements.txt" in session.end()


def test_host_key_is_stored_by_instance(operator: CloudOperator) -> None:
    [vm] = operator.openstack().compute.servers()
    known = operator.data / "stacks" / "lab" / "known_hosts"
    subprocess.run(["ssh-keygen", "-F", vm.id, "-f", str(known)], check=True)


def test_second_up_changes_nothing(operator: CloudOperator) -> None:
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_volume_and_flavors_change_without_loss(operator: CloudOperator) -> None:
    before = operator.openstack().database.get("/instances").json()["instances"]
    changed = {"databaseVolumeSize": 3, "databaseFlavor": "standard.medium"}
    operator.change("lab", **changed, flavor="standard.small")
    assert "'up' keeps them" in operator.checkout.pipeline("preview", *STACK).stderr
    operator.checkout.pipeline("up", *STACK)
    [instance] = operator.openstack().database.get("/instances").json()["instances"]
    assert instance["id"] == before[0]["id"]
    assert instance["volume"]["size"] == 3
    flavors = operator.openstack().database.get("/flavors").json()["flavors"]
    names = {str(flavor["str_id"]): flavor["name"] for flavor in flavors}
    assert names[str(instance["flavor"]["id"])] == "standard.medium"
    [vm] = operator.openstack().compute.servers()
    assert vm.flavor.original_name == "standard.small"


def test_second_stack_leaves_the_first_alone(operator: CloudOperator) -> None:
    operator.checkout.pipeline("init", "lab2", *LOCALLY)
    operator.checkout.pipeline("up", "--stack", "lab2")
    names = {server.name for server in operator.openstack().compute.servers()}
    assert names == {"image-pipeline-lab-vm", "image-pipeline-lab2-vm"}
    operator.checkout.pipeline("destroy", "--data", "--yes", "--stack", "lab2")
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_status_shows_the_console_of_an_unreachable_machine(operator: CloudOperator) -> None:
    answer = without_the_machines_ssh(operator, "status")
    assert "operatorCidrs" in answer.stderr
    assert "  image-pipeline-lab-vm: " in answer.stderr  # lines of its console


def test_machine_shut_off_at_the_cloud_is_started(operator: CloudOperator) -> None:
    compute = operator.openstack().compute
    [vm] = compute.servers()
    compute.stop_server(vm)
    compute.wait_for_server(compute.get_server(vm.id), status="SHUTOFF", interval=0.1, wait=60)
    # An address without a server: the test's ssh server would still answer for the stopped machine.
    answer = without_the_machines_ssh(operator, "status")
    assert "image-pipeline-lab-vm: the cloud reports SHUTOFF" in answer.stderr
    assert "'./pipeline up --stack lab' restores it" in answer.stderr
    operator.checkout.pipeline("refresh", *STACK)
    operator.checkout.pipeline("up", *STACK)
    assert compute.get_server(vm.id).status == "ACTIVE"


def without_the_machines_ssh(
    operator: CloudOperator, command: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command that fails with the system's ssh, which finds nothing at port 22."""
    environment = dict(operator.checkout.environment)
    path = environment["PATH"].split(os.pathsep)[1:]
    answer = subprocess.run(
        operator.checkout.command(command, *STACK),
        cwd=operator.checkout.folder,
        env={**environment, "PATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    return answer


def test_destroy_of_data_asks_for_the_name(operator: CloudOperator) -> None:
    with terminal(operator, "destroy", *STACK) as session:
        assert "protectData" in session.end(code=1)
    with terminal(operator, "destroy", "--data", *STACK) as session:
        session.answer("Type the stack's name", "lap")
        assert "nothing was removed" in session.end(code=1)
    with documented(operator, "destroy") as session:
        session.answer("Type the stack's name", "lab")
        assert "Nothing is left of it." in session.end()
    cloud = operator.openstack()
    assert list(cloud.compute.servers()) == []
    assert cloud.database.get("/instances").json()["instances"] == []
    assert list(cloud.network.ips()) == []
    assert list(DOCUMENTED) == []  # the document has no command that was not typed
