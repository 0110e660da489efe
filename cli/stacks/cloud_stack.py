"""A stack on a cloud: settings in the checkout, state and passphrase where `init` recorded them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.errors import CommandError, LockHeld
from cli.init import file
from cli.init.checks import problems
from cli.lock import alone
from cli.machines.ssh_host import SshHost
from cli.paths import CHECKOUT
from cli.private_files import make_folder
from cli.stacks import registry, store_keys
from cli.stacks.in_use import users_of_groups
from cli.stacks.orphans import end_orphans
from cli.stacks.stack import Stack
from cli.stacks.stale_lock import stale_lock
from cli.stacks.state_folder import check_room, folder_of, mend
from cli.stacks.strays import Stray, find
from cli.stacks.target import StackHome, nothing_stands
from cli.terminal import print_progress
from infra.errors import Refusal

_DEFAULT_USER = "ubuntu"


class CloudStack:
    """Stands between the commands and one stack that `init` made."""

    def __init__(self, name: str) -> None:
        if not registry.NAME.fullmatch(name):
            raise CommandError(
                f"'{name}' is no name for a stack: use letters, digits, '-', '_' and '.'."
            )
        self.name = name
        self.record = registry.load(name)
        self._stack: Stack | None = None

    @property
    def exists(self) -> bool:
        """Whether the state knows of anything."""
        return bool(self.open().resources())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands on this computer out; the engine's own lock keeps out all others."""
        try:
            with alone(registry.folder(self.name)):
                yield
        except LockHeld:
            raise CommandError(
                f"Another ./pipeline command is changing stack '{self.name}': wait until it has "
                "ended."
            ) from None

    def check(self) -> None:
        """Settings and clouds; of a new stack also what is left over, quotas and bucket names."""
        self._check_files()
        check_room(self.record.backend)
        found = problems(self.name, self.settings(), self._stands_with_all_it_has)
        if found:
            raise CommandError("\n".join(found))

    def _stands_with_all_it_has(self) -> bool:
        """Whether it stands; raises CommandError where a lost state would be made once more."""
        left, stands = self.strays(), self.exists
        if left:
            names = ", ".join(f"{stray.kind} {stray.name} ({stray.id})" for stray in left)
            remedy = f"'./pipeline strays --stack {self.name} --remove' removes them"
            if not stands:
                raise CommandError(
                    f"The state of stack '{self.name}' ({self.record.backend}) knows of nothing, "
                    f"but the clouds have {names}: put the lost state back from a copy, or "
                    f"{remedy} (buckets are adopted by adoptBuckets), or init another name."
                )
            print_progress(
                f"The clouds also have {names}, perhaps of an 'up' that was killed: {remedy}."
            )
        return stands

    def strays(self) -> list[Stray]:
        """What the clouds have under this stack's names and its state does not know."""
        known = {str(each.get("id", "")) for each in self.open().resources()}
        try:
            return find(self.name, self.settings(), known)
        except Refusal as error:
            raise CommandError(str(error)) from None

    def unclaimed_keys(self) -> str:
        """What to say of keys that may be of a lost state, or anybody's."""
        known = {str(each.get("id", "")) for each in self.open().resources()}
        try:
            return store_keys.unclaimed(self.settings(), known)
        except Refusal as error:
            raise CommandError(str(error)) from None

    def open(self) -> Stack:
        """The stack in its backend, made there if need be."""
        if self._stack is None:
            self._check_files()
            end_orphans(self.record.passphrase_file)
            mend(self.record.backend, self.name)
            self._stack = Stack(self.home())
            if stale_lock(self.record.backend, self.name):
                print_progress("An engine that was killed left its lock: lifted.")
                self._stack.forget_lock()
        return self._stack

    def require(self) -> Stack:
        """The stack with something standing."""
        stack = self.open()
        if not stack.resources():
            raise nothing_stands(self.name)
        return stack

    def forget_preview(self) -> None:
        """An empty stack costs nothing, and `init` wanted it."""

    def destroy(self, *, data: bool = False) -> None:
        """Take everything down through the engine; settings, state and passphrase stay.

        Raises CommandError, with nothing touched, where the cloud would not let go of a part.
        """
        stack = self.open()
        try:
            found = list(users_of_groups(self.settings(), stack.resources()))
        except Refusal as error:
            raise CommandError(str(error)) from None
        if found:
            raise CommandError("\n".join(found))
        stack.destroy(data=data)

    def hosts(self) -> Sequence[SshHost]:
        """The state's VMs, behind the floating IP of the outputs."""
        stack = self.require()
        outputs = {name: output.value for name, output in stack.outputs().items()}
        settings = self.settings()
        return [
            SshHost(
                name=str(vm["outputs"]["name"]),
                instance=str(vm["id"]),
                address=str(outputs.get("floatingIp", "")),
                user=str(settings.get("sshUser") or _DEFAULT_USER),
                key=_private_key(str(settings.get("sshPublicKeyFile", ""))),
                known_hosts=registry.folder(self.name) / "known_hosts",
                cloud=str(settings.get("computeCloud", "")),
            )
            for vm in stack.resources()
            if vm["type"].endswith("compute/instance:Instance")
        ]

    def settings(self) -> Mapping[str, Any]:
        """What the stack's file sets, without the project's name before each setting."""
        try:
            return file.read(registry.settings_file(self.name))
        except ValueError as error:
            raise CommandError(f"{error} (correct it).") from None

    def home(self) -> StackHome:
        """Bare `pulumi` in the checkout finds the same stack with this environment."""
        return StackHome(
            self.name,
            CHECKOUT,
            {
                "PULUMI_BACKEND_URL": self.record.backend,
                "PULUMI_CONFIG_PASSPHRASE_FILE": self.record.passphrase_file,
            },
        )

    def _check_files(self) -> None:
        file, passphrase = registry.settings_file(self.name), Path(self.record.passphrase_file)
        if not file.is_file():
            raise CommandError(
                f"{file.name} is not in {CHECKOUT}: put the stack's settings back there, or write "
                f"them anew with './pipeline init {self.name}'."
            )
        if not passphrase.is_file():
            raise CommandError(
                f"The passphrase of stack '{self.name}' is not at {passphrase}: put the file back, "
                "or name the one you have with "
                f"'./pipeline init {self.name} --passphrase-file FILE'."
            )
        folder = folder_of(self.record.backend)
        if folder:
            make_folder(folder)


def _private_key(public: str) -> Path:
    """The private half beside a public key; the public one where an agent holds the other."""
    path = Path(public).expanduser()
    private = path.with_suffix("") if path.suffix == ".pub" else path
    return private if private.is_file() else path
