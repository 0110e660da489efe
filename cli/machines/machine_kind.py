"""`--machine` and `--suite`: what the local stack's VM is made of."""

from collections.abc import Callable
from typing import Any

import click

from cli.errors import PipelineError
from cli.places import cache
from cli.screen import waiting
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import Target
from local.machine import container, container_tree, kinds
from local.machine.container_tree import TreeError


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options, as `machine` and `suite`."""
    machine = click.option(
        "--machine",
        type=click.Choice([kinds.PROCESS, kinds.CONTAINER]),
        help="Local stack: 'container' boots the machine with cloud-init and systemd (Linux, root)."
        "  [default: as it stands, else process]",
    )
    suite = click.option(
        "--suite",
        type=click.Choice(container_tree.SUITES),
        default=container_tree.SUITES[0],
        show_default=True,
        help="The Debian that a container boots.",
    )
    return machine(suite(command))


def choose(target: Target, machine: str | None, suite: str) -> None:
    """Have the target's VM be of that kind; raises PipelineError where it cannot be."""
    if machine is None:
        return
    if not isinstance(target, LocalStack):
        raise PipelineError(
            f"--machine is for the stack on this machine, and '{target.name}' is on a cloud: leave "
            "it out."
        )
    tree = None
    if machine == kinds.CONTAINER:
        if (lacking := container.missing()) is not None:
            raise PipelineError(lacking)
        trees = cache() / "trees"
        tree = container_tree.place(trees, suite)
        if not tree.exists():
            with waiting(f"Building a Debian tree ({suite}), once; a minute or two"):
                try:
                    tree = container_tree.build(trees, suite)
                except TreeError as error:
                    raise PipelineError(str(error)) from None
    target.make_machines_of(kinds.Kind(machine, str(tree or "")))
