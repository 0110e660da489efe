"""`--machine` and `--suite`: what the local stack's VM is made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli.errors import CommandError
from cli.paths import cache_folder
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import Target
from cli.terminal import spinner
from local.machine import container, container_tree, kinds, qemu, qemu_image
from local.machine.container_tree import TreeError


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options, as `machine` and `suite`."""
    machine = click.option(
        "--machine",
        type=click.Choice([kinds.PROCESS, kinds.CONTAINER, kinds.QEMU]),
        help="Local stack: 'container' boots the machine with cloud-init and systemd (Linux, root),"
        " 'qemu' with a kernel too (in minutes)."
        "  [default: as it stands, else process]",
    )
    suite = click.option(
        "--suite",
        type=click.Choice(container_tree.SUITES),
        default=container_tree.SUITES[0],
        show_default=True,
        help="The Debian that it boots.",
    )
    return machine(suite(command))


def choose(target: Target, machine: str | None, suite: str) -> None:
    """Have the target's VM be of that kind; raises CommandError where it cannot be."""
    if machine is None:
        return
    if not isinstance(target, LocalStack):
        raise CommandError(
            f"--machine is for the stack on this machine, and '{target.name}' is on a cloud: leave "
            "it out."
        )
    tree = "" if machine == kinds.PROCESS else str(_tree(machine, suite))
    target.make_machines_of(kinds.Kind(machine, tree))


def _tree(machine: str, suite: str) -> Path:
    """What a machine of that kind boots from, built if need be; raises CommandError."""
    emulated = machine == kinds.QEMU
    if (lacking := qemu.missing() if emulated else container.missing()) is not None:
        raise CommandError(lacking)
    folder = cache_folder() / ("images" if emulated else "trees")
    recipe = qemu_image.RECIPE if emulated else container_tree.CONTAINER
    if (tree := container_tree.place(folder, suite, recipe)).exists():
        return tree
    what = "disk image" if emulated else "tree"
    with spinner(f"Building a Debian {what} ({suite}), once; a minute or two"):
        try:
            return (qemu_image.build if emulated else container_tree.build)(folder, suite)
        except TreeError as error:
            raise CommandError(str(error)) from None
