"""A booted machine of the local stack, reached as a cloud's VM is: over ssh, with its key."""

from dataclasses import dataclass

from cli.machines.ssh_host import SshHost
from cli.paths import LocalPaths
from local.machine.booted import Booted

_USER = "ubuntu"  # as in a cloud's image


@dataclass(frozen=True)
class GuestHost(SshHost):
    """A guest on this machine."""

    machine: Booted | None = None

    def console(self) -> str:
        """The console log, which Nova would have."""
        if self.machine is None:
            return ""
        try:
            return self.machine.console.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def guest_host(machine: Booted, paths: LocalPaths) -> GuestHost:
    """The way to a running guest."""
    return GuestHost(
        name=machine.name,
        instance=machine.folder.name,
        address="127.0.0.1",
        user=_USER,
        key=paths.ssh_key,
        known_hosts=paths.root / "known_hosts",
        cloud="local",
        port=machine.ssh_port,
        machine=machine,
    )
