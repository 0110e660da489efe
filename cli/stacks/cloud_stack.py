"""A stack on a cloud: settings in the checkout, state and passphrase where `init` recorded them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError
from cli.init import settings_file
from cli.machines.ssh_host import SshHost
from cli.paths import CHECKOUT
from cli.stacks import backend, registry
from cli.stacks.engine_processes import end_orphans
from cli.stacks.pulumi_stack import PulumiStack, Workspace
from cli.stacks.target import command_line, not_deployed
from cli.terminal import print_progress
from infra.names import MACHINE_NUMBERS, Names
from local import file_lock, private_file
from local.errors import LockHeld

if TYPE_CHECKING:
    from cli.stacks.strays import Stray

_DEFAULT_USER = "ubuntu"
_GROUP, _PORT = "networking/secGroup:SecGroup", "networking/port:Port"
_INSTANCE = "compute/instance:Instance"


class CloudStack:
    """A stack that `init` has recorded."""

    def __init__(self, name: str) -> None:
        if not registry.STACK_NAME.fullmatch(name):
            raise CommandError(
                f"'{name}' is not a valid stack name: use letters, digits, '-', '_' and '.'."
            )
        self.name = name
        self.record = registry.load(name)
        self._stack: PulumiStack | None = None

    @property
    def exists(self) -> bool:
        """Whether the state has resources."""
        return bool(self.open().resources())

    @property
    def deployed(self) -> int | None:
        """How many machines the state has, None if it is empty."""
        resources = self.open().resources()
        return len(_ids(resources, _INSTANCE)) if resources else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock out other commands on this computer; the engine's own lock excludes other computers.

        Raises:
            CommandError: Another command is changing the stack.
        """
        try:
            with file_lock.hold(registry.folder(self.name), wait=False):
                yield
        except LockHeld:
            raise CommandError(
                f"Another ./pipeline command is changing stack '{self.name}': wait until it has "
                "ended."
            ) from None

    def check(self) -> None:
        """Check settings and clouds, quotas of what is new, of a new stack also bucket names.

        Raises:
            CommandError: One sentence for each problem.
        """
        from cli.init.checks import problems

        self._check_files()
        backend.check_space(self.record.backend)
        found = problems(self.name, self.settings(), self._deployed_without_strays)
        if found:
            raise CommandError("\n".join(found))

    def open(self) -> PulumiStack:
        """Return the stack, ready to be changed."""
        if self._stack is None:
            self._check_files()
            end_orphans(self.record.passphrase_file)
            backend.repair(self.record.backend, self.name)
            self._stack = PulumiStack(self.workspace())
            if backend.has_stale_lock(self.record.backend, self.name):
                print_progress("Dropped the lock that a killed engine left.")
                self._stack.drop_lock()
        return self._stack

    def require(self) -> PulumiStack:
        """Return the stack, ready to be changed.

        Raises:
            CommandError: Nothing is deployed.
        """
        stack = self.open()
        if not stack.resources():
            raise not_deployed(self.name)
        return stack

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        """Return the deployed stack's outputs; without `show_secrets`, "[secret]" for each secret.

        Raises:
            CommandError: Nothing is deployed.
        """
        stack = self._for_reading()
        found = stack.outputs(show_secrets=show_secrets)
        if not (found or stack.resources()):
            raise not_deployed(self.name)
        return found

    def workspace(self) -> Workspace:
        """Return the stack's files and the environment by which the engine finds its state.

        Bare `pulumi` in the checkout drives the same stack with this environment.
        """
        from clients import clouds_yaml
        from clients.errors import CloudError

        workspace = self._workspace_for_reading()
        try:
            found = clouds_yaml.find()
        except CloudError as error:
            raise CommandError(str(error)) from None
        # The provider is another process, and would search other folders for clouds.yaml.
        file = {clouds_yaml.VARIABLE: str(found)} if found else {}
        return replace(workspace, environment={**workspace.environment, **file})

    def _workspace_for_reading(self) -> Workspace:
        """Return the workspace for commands that query no cloud."""
        return Workspace(
            self.name,
            CHECKOUT,
            {
                "PULUMI_BACKEND_URL": self.record.backend,
                "PULUMI_CONFIG_PASSPHRASE_FILE": self.record.passphrase_file,
            },
        )

    def strays(self) -> "list[Stray]":
        """Return resources that carry the stack's names on the clouds but are not in its state."""
        from cli.stacks import strays

        found = self._ask_clouds(lambda known: strays.find(self.name, self.settings(), known))
        return list(found)

    def unclaimed_keys(self) -> str:
        """Return a warning about access keys that no known stack owns, or ""."""
        from cli.stacks import strays

        return str(self._ask_clouds(lambda known: strays.unclaimed_keys(self.settings(), known)))

    def drop_preview(self) -> None:
        """Do nothing: an empty stack costs nothing, and `init` created it."""

    def destroy(self, *, data: bool = False) -> None:
        """Delete everything in the state; settings, state file and passphrase stay.

        Raises:
            DataGuarded: Data is protected and `data` not set; nothing was deleted.
            CommandError: The security group is in use elsewhere (nothing was deleted), the engine
                failed, or strays are left.
        """
        stack = self.open()
        ports = self._ask_clouds(lambda _: self._blocking_ports(stack.resources()))
        if ports:
            raise CommandError("\n".join(ports))
        stack.destroy(data=data)
        self.check_nothing_left()

    def check_nothing_left(self) -> None:
        """Look for cloud resources with the stack's names that are not in its state.

        Raises:
            CommandError: There are strays.
        """
        left = self.strays()
        if left:
            remedy = command_line("strays --remove", self.name)
            raise CommandError(
                f"The state of stack '{self.name}' is empty, but the clouds still have "
                f"{_listed(left)} under its name: '{remedy}' deletes them."
            )

    def hosts(self) -> Sequence[SshHost]:
        """Return the state's VMs: the first at the outputs' floating IP, others through it.

        Without the first one there is no way to the others.

        Raises:
            CommandError: Nothing is deployed.
        """
        stack = self._for_reading()
        resources = stack.resources()
        if not resources:
            raise not_deployed(self.name)
        vms = {
            str(each["outputs"]["name"]): each
            for each in resources
            if each["type"].endswith(_INSTANCE)
        }
        first_name, *others = map(Names.of_stack(self.name).machine, MACHINE_NUMBERS)
        if first_name not in vms:
            return []
        settings = self.settings()
        first = SshHost(
            name=first_name,
            instance=str(vms[first_name]["id"]),
            address=str(stack.outputs(show_secrets=False).get("floatingIp", "")),
            user=str(settings.get("sshUser") or _DEFAULT_USER),
            key=_private_key(str(settings.get("sshPublicKeyFile", ""))),
            known_hosts=registry.folder(self.name) / "known_hosts",
            cloud=str(settings.get("computeCloud", "")),
            region=str(settings.get("computeRegion", "")),
        )
        found = [first]
        for name in others:
            # A machine that its cloud could not start has no address.
            if name in vms and (address := vms[name]["outputs"].get("accessIpV4")):
                instance = str(vms[name]["id"])
                found.append(
                    replace(first, name=name, instance=instance, address=str(address), jump=first)
                )
        return found

    def settings(self) -> Mapping[str, Any]:
        """Return the settings in the stack's file, by name without the project."""
        return settings_file.read(registry.settings_file(self.name))

    def _for_reading(self) -> PulumiStack:
        """Return the stack for a command that changes nothing: no lock is needed.

        Raises:
            CommandError: Nothing is deployed.
        """
        if self._stack is not None:
            return self._stack
        self._check_files()
        backend.repair(self.record.backend, self.name)
        if backend.is_empty(self.record.backend, self.name):  # Pulumi's CLI may have to be built
            raise not_deployed(self.name)
        return PulumiStack(self._workspace_for_reading())

    def _deployed_without_strays(self) -> int | None:
        """Look at the state and the clouds.

        Returns:
            How many machines are deployed, None if nothing is.

        Raises:
            CommandError: The state is empty and the clouds have strays: it was lost, and `up` would
                deploy everything a second time.
        """
        left, deployed = self.strays(), self.deployed
        if left:
            remedy = f"'{command_line('strays --remove', self.name)}' deletes them"
            if deployed is None:
                raise CommandError(
                    f"The state of stack '{self.name}' ({self.record.backend}) is empty, but the "
                    f"clouds have {_listed(left)}: restore the lost state from a copy, or {remedy} "
                    "(buckets are adopted by adoptBuckets), or init another name."
                )
            print_progress(
                f"The clouds also have {_listed(left)}, perhaps from an interrupted 'up': {remedy}."
            )
        return deployed

    def _ask_clouds(self, question: Callable[[set[str]], Any]) -> Any:
        """Ask with the ids of the state's resources; a cloud's error is raised as CommandError."""
        from clients.errors import InfraError

        try:
            return question({str(each.get("id", "")) for each in self.open().resources()})
        except InfraError as error:
            raise CommandError(str(error)) from None

    def _blocking_ports(self, resources: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return a sentence for each port outside the state that uses its security group.

        The cloud refuses to delete a group in use; the provider would wait ten minutes, then report
        only a deadline.
        """
        from clients.connection import cloud_errors, connect

        groups, ours = _ids(resources, _GROUP), _ids(resources, _PORT)
        if not groups:
            return []
        settings = self.settings()
        entry = str(settings.get("computeCloud", ""))
        with cloud_errors(entry):
            ports = list(connect(entry, str(settings.get("computeRegion", ""))).network.ports())
        return [
            self._blocking_port(port)
            for port in ports
            if port.id not in ours and groups & set(port.security_group_ids or ())
        ]

    def _blocking_port(self, port: Any) -> str:
        if port.name in map(Names.of_stack(self.name).port, MACHINE_NUMBERS):
            return (
                f"Port {port.name} ({port.id}) carries this stack's name and uses its security "
                "group, but is not in its state: delete it with "
                f"'{command_line('strays --remove', self.name)}', then run the same command again."
            )
        owner = f" of machine {port.device_id}" if port.device_id else ""
        return (
            f"Port {port.name or port.id}{owner}, which is not this stack's, uses its security "
            "group: give it another group, then run the same command again."
        )

    def _check_files(self) -> None:
        settings, passphrase = (
            registry.settings_file(self.name),
            Path(self.record.passphrase_file),
        )
        if not settings.is_file():
            raise CommandError(
                f"{settings.name} is not in {CHECKOUT}: restore the stack's settings, or write new "
                f"ones with './pipeline init {self.name}'."
            )
        self.settings()  # the engine reports a malformed file as a wrong passphrase
        if not passphrase.is_file():
            raise CommandError(
                f"The passphrase of stack '{self.name}' is not at {passphrase}: restore the file, "
                "or name the one you have with "
                f"'./pipeline init {self.name} --passphrase-file FILE'."
            )
        folder = backend.folder_of(self.record.backend)
        if folder:
            private_file.make_folder(folder)


def _ids(resources: Sequence[Mapping[str, Any]], kind: str) -> set[str]:
    return {str(each.get("id", "")) for each in resources if str(each["type"]).endswith(kind)}


def _listed(strays: "Sequence[Stray]") -> str:
    return ", ".join(f"{stray.kind} {stray.name} ({stray.id})" for stray in strays)


def _private_key(public: str) -> Path:
    """Return the private key beside a public one, or the public one if an agent holds the other."""
    path = Path(public).expanduser()
    private = path.with_suffix("") if path.suffix == ".pub" else path
    return private if private.is_file() else path
