"""Show what `up` would do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli import options
from cli.stacks.target import Target
from cli.terminal import print_progress, print_result

if TYPE_CHECKING:
    from pulumi.automation.events import StepEventMetadata

#: The outputs of a Python dynamic resource that is changed in place are unknown in a plan, so the
#: VMs, whose user-data uses them, are shown as replaced although `up` keeps them.
_EXPLANATION = (
    "  Machines are shown as replaced because a plan does not know the outputs of the changed "
    "database or bucket: 'up' keeps them unless those really change."
)


@click.command(help=__doc__)
@options.stack
def command(target: Target) -> None:
    from cli.stacks.progress import count_changes

    with target.alone():
        existed = target.exists
        steps = target.open().preview()
        if not existed:
            target.drop_preview()
    if _shows_machine_replaced(steps):
        print_progress(_EXPLANATION)
    changes = count_changes(steps)
    print_result(f"{changes} resources would change." if changes else "No change.")


def _shows_machine_replaced(steps: "Sequence[StepEventMetadata]") -> bool:
    """Whether the plan replaces VMs and changes a dynamic resource in place."""
    from pulumi.automation import OpType

    replaced = (OpType.REPLACE, OpType.CREATE_REPLACEMENT, OpType.DELETE_REPLACED)
    dynamic = any(
        step.op == OpType.UPDATE and step.type.startswith("pulumi-python:dynamic") for step in steps
    )
    machine = any(
        step.op in replaced and step.type.endswith("compute/instance:Instance") for step in steps
    )
    return dynamic and machine
