"""The one line of a plan that says more than will happen.

An in-place change of a Python dynamic resource makes its outputs unknown to a plan, so the VM,
whose user-data uses them, is shown as replaced though `up` leaves it (../shared/clouds.md).
"""

from collections.abc import Sequence

from pulumi.automation import OpType
from pulumi.automation.events import StepEventMetadata

EXPLANATION = (
    "  The machine is shown as replaced because the change of the database or of a bucket makes "
    "its outputs unknown to a plan: 'up' keeps the machine unless they really change."
)
_REPLACED = (OpType.REPLACE, OpType.CREATE_REPLACEMENT, OpType.DELETE_REPLACED)


def shows_machine_replaced(steps: Sequence[StepEventMetadata]) -> bool:
    """Whether the plan replaces the VM and changes a dynamic resource in place."""
    dynamic = any(
        step.op == OpType.UPDATE and step.type.startswith("pulumi-python:dynamic") for step in steps
    )
    machine = any(
        step.op in _REPLACED and step.type.endswith("compute/instance:Instance") for step in steps
    )
    return dynamic and machine
