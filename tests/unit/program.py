"""Runs the real `__main__.py` against Pulumi's mocks and records what it asks of the engine."""

import asyncio
import base64
import gzip
import json
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc, set_all_config
from pulumi.runtime.settings import get_root_resource

from tests.unit.stack_settings import PROJECT

# Each Future of Pulumi's is bound to a loop, and its root stack lives as long as the process.
_LOOP = asyncio.new_event_loop()
CHECKOUT = Path(__file__).resolve().parents[2]
FLOATING_IP, FIXED_IP = "203.0.113.7", "192.168.1.12"
#: What each kind answers besides its inputs.
ANSWERS: dict[str, dict[str, Any]] = {
    "openstack:networking/floatingIp:FloatingIp": {"address": FLOATING_IP},
    "openstack:identity/ec2CredentialV3:Ec2CredentialV3": {
        "access": "unit-access-key",
        "secret": "unit-secret-key",
    },
    "pulumi-python:dynamic:TroveInstance": {
        "admin_password": "unit-admin-password",
        "user_password": "unit-user-password",
    },
    "pulumi-python:dynamic:InterfaceCertificates": {
        "trusted": "unit-authority-certificate",
        "certificate": "unit-server-certificate",
        "authority": "unit-authority-key",
    },
    "openstack:networking/port:Port": {"allFixedIps": ["2001:db8::9", FIXED_IP]},
    "pulumi-python:dynamic:TroveReady": {"public_ip": "198.51.100.9", "port": 5432},
}


@dataclass(frozen=True)
class Asked:
    """One resource as the engine was asked for it; secrets in `inputs` are unwrapped."""

    type: str
    name: str
    inputs: dict[str, Any]
    secret: frozenset[str]
    request: Any

    @property
    def kind(self) -> str:
        """The last part of the type."""
        return self.type.rpartition(":")[2]


@dataclass
class Run:
    """What one run of the program asked for and put out."""

    resources: list[Asked] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)

    def of(self, kind: str) -> list[Asked]:
        """Every resource of a kind."""
        return [asked for asked in self.resources if asked.kind == kind]

    def named(self, name: str) -> Asked:
        """The resource with this logical name."""
        (asked,) = [each for each in self.resources if each.name == name]
        return asked

    def one(self, kind: str) -> Asked:
        """The only resource of a kind."""
        (asked,) = self.of(kind)
        return asked


class Mocks(mocks.Mocks):
    """Every resource answers its inputs and ANSWERS."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"The program invokes {args.token}: look-ups go through openstacksdk.")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, **ANSWERS.get(args.typ, {})}


class _Monitor(mocks.MockMonitor):
    """A mock monitor that keeps the whole request: options are not in MockResourceArgs."""

    def __init__(self, run: Run) -> None:
        super().__init__(Mocks())
        self.run = run

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        marked = rpc.deserialize_properties(request.object)
        secret = frozenset(name for name, value in marked.items() if _holds_secret(value))
        plain = {name: _plain(value) for name, value in marked.items()}
        self.run.resources.append(Asked(request.type, request.name, plain, secret, request))
        return answer


def _holds_secret(value: Any) -> bool:
    if rpc.is_rpc_secret(value):
        return True
    if isinstance(value, dict):
        return any(_holds_secret(item) for item in value.values())
    return isinstance(value, list) and any(_holds_secret(item) for item in value)


def _plain(value: Any) -> Any:
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def use_mocks(stack: str = "unit", monitor: mocks.MockMonitor | None = None) -> None:
    """Direct Pulumi's SDK to mocks.

    Args:
        stack: The stack's name.
        monitor: Takes the requests; None for one that forgets them.
    """
    # Creating the root stack needs a current loop, and asyncio.run of an earlier test leaves none.
    asyncio.set_event_loop(_LOOP)
    pulumi.runtime.set_mocks(Mocks(), project=PROJECT, stack=stack, preview=False, monitor=monitor)


def run_program(values: Mapping[str, str], stack: str = "unit", secret: Sequence[str] = ()) -> Run:
    """One run with `values` as the stack's settings; whatever the program raises comes through.

    Args:
        values: The settings.
        stack: The stack's name.
        secret: Those of the settings that are secret.

    Returns:
        What was asked for and put out.
    """
    run = Run()
    root: Any = get_root_resource()
    if root:
        root.outputs.clear()  # one stack for the whole process
    use_mocks(stack, _Monitor(run))
    set_all_config(
        {f"{PROJECT}:{name}": value for name, value in values.items()},
        [f"{PROJECT}:{name}" for name in secret],
    )

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        runpy.run_path(str(CHECKOUT / "__main__.py"), run_name="__main__")
        root: Any = get_root_resource()
        outputs = {name: pulumi.Output.from_input(value) for name, value in root.outputs.items()}

        async def note() -> None:
            for name, value in outputs.items():
                run.outputs[name] = await value.future()
                if await value.is_secret():
                    run.secret_outputs.add(name)

        return pulumi.Output.from_input(note())

    program()
    return run


def written(run: Run, machine: str = "vm") -> dict[str, str]:
    """Return path -> content of the files in a machine's user-data."""
    packed = run.named(machine).inputs["userData"]
    text = gzip.decompress(base64.b64decode(packed)).decode()
    document: dict[str, Any] = json.loads(text.removeprefix("#cloud-config\n"))
    return {entry["path"]: entry["content"] for entry in document["write_files"]}
