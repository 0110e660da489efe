"""The options `--machine` and `--suite`: the kind of the local stack's VM."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli.errors import CommandError
from cli.paths import cache_folder
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import Target
from cli.terminal import spinner
from local.errors import ImageBuildFailed
from local.machine import debian_tree, kinds
from local.machine.nspawn import machine as nspawn
from local.machine.qemu import image as disk_image
from local.machine.qemu import machine as qemu


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two options to a command, as `machine` and `suite`."""
    machine = click.option(
        "--machine",
        type=click.Choice([kinds.PROCESS, kinds.NSPAWN, kinds.QEMU]),
        help="Local stack: 'container' boots the machine with cloud-init and systemd (Linux, root),"
        " 'qemu' with a kernel too (in minutes)."
        "  [default: as deployed, else process]",
    )
    suite = click.option(
        "--suite",
        type=click.Choice(debian_tree.SUITES),
        default=debian_tree.SUITES[0],
        show_default=True,
        help="The Debian that it boots.",
    )
    return machine(suite(command))


def choose(target: Target, machine: str | None, suite: str) -> None:
    """Choose the kind of the local stack's VM.

    Args:
        target: The stack.
        machine: One of `kinds`, None to keep what is deployed.
        suite: The Debian release that it boots.

    Raises:
        CommandError: The stack is on a cloud, or this computer cannot run that kind.
    """
    if machine is None:
        return
    if not isinstance(target, LocalStack):
        raise CommandError(
            f"--machine is for the stack on this machine, and '{target.name}' is on a cloud: leave "
            "it out."
        )
    tree = "" if machine == kinds.PROCESS else str(_tree(machine, suite))
    target.make_machines_of(kinds.MachineKind(machine, tree))


def _tree(machine: str, suite: str) -> Path:
    """Return the Debian tree or disk image of a kind, built if need be."""
    emulated = machine == kinds.QEMU
    if (lacking := qemu.missing() if emulated else nspawn.missing()) is not None:
        raise CommandError(lacking)
    folder = cache_folder() / ("images" if emulated else "trees")
    recipe = disk_image.RECIPE if emulated else debian_tree.NSPAWN
    if (tree := debian_tree.path(folder, suite, recipe)).exists():
        return tree
    what = "disk image" if emulated else "tree"
    with spinner(f"Building a Debian {what} ({suite}), once; a minute or two"):
        try:
            return (disk_image.build if emulated else debian_tree.build)(folder, suite)
        except ImageBuildFailed as error:
            raise CommandError(str(error)) from None
