"""Progress of an engine operation: its events as lines, its running steps, its errors."""

import re
from collections.abc import Iterable

from pulumi.automation import OpType
from pulumi.automation.events import EngineEvent, StepEventMetadata

from cli.stacks.messages import simplify

_DONE = {
    OpType.CREATE: "+ created",
    OpType.CREATE_REPLACEMENT: "+ created again",
    OpType.UPDATE: "~ updated",
    OpType.DELETE: "- deleted",
    OpType.DELETE_REPLACED: "- deleted to be replaced",
    OpType.READ: "= read",
}
_PLANNED = {
    OpType.CREATE: "+ create",
    OpType.CREATE_REPLACEMENT: "+ create again",
    OpType.UPDATE: "~ update",
    OpType.DELETE: "- delete",
    OpType.DELETE_REPLACED: "- delete to replace",
    OpType.REPLACE: "± replace",
}
#: What clients/readiness.py logs while a database is created or changed: for minutes.
_WAITING = re.compile(r"Database instance .*; waiting\.")
_SUMMARIES = ("update failed", "preview failed")  # the engine's own, after the real errors
_NOT_ON_A_CLOUD = ("pulumi:pulumi:", "pulumi:providers:", "pipeline:infra:")


def resource_name(step: StepEventMetadata) -> str:
    """Return `Container input` for `urn:…::openstack:objectstorage/container:Container::input`."""
    kind, name = step.urn.split("::")[-2:]
    return f"{kind.rsplit(':', 1)[-1].rsplit('/', 1)[-1]} {name}"


def is_on_a_cloud(step: StepEventMetadata) -> bool:
    """Whether a step is about a cloud resource, not the stack, a provider or a component."""
    return not step.type.startswith(_NOT_ON_A_CLOUD)


def count_changes(steps: Iterable[StepEventMetadata]) -> int:
    """Count the resources that a plan would change."""
    return len({step.urn for step in steps if step.op not in (OpType.SAME, OpType.READ)})


class Progress:
    """What an operation has done so far.

    Attributes:
        running: URN -> name of each resource that is being changed now.
        errors: Messages of errors so far, each once.
        steps: Steps on cloud resources so far, those that change nothing included.
    """

    def __init__(self, *, planning: bool = False) -> None:
        self.running: dict[str, str] = {}
        self.errors: list[str] = []
        self.steps: list[StepEventMetadata] = []
        self._words = _PLANNED if planning else _DONE

    def add(self, event: EngineEvent) -> str | None:
        """Take in an event; return the line to print for it, if any."""
        if event.diagnostic_event and event.diagnostic_event.severity == "error":
            message = simplify(event.diagnostic_event.message)
            if message and message not in (*self.errors, *_SUMMARIES):
                self.errors.append(message)
        waiting = event.diagnostic_event and _WAITING.search(event.diagnostic_event.message)
        if waiting:
            return f"    {waiting[0]}"
        if event.resource_pre_event:
            step = event.resource_pre_event.metadata
            self.steps += [step] if is_on_a_cloud(step) else []
            if step.op in _DONE and is_on_a_cloud(step):
                self.running[step.urn] = resource_name(step)
        if event.res_op_failed_event:
            self.running.pop(event.res_op_failed_event.metadata.urn, None)
        # A preview sends both events for each step, and does nothing between them.
        planning = self._words is _PLANNED
        done = event.resource_pre_event if planning else event.res_outputs_event
        if done is None:
            return None
        self.running.pop(done.metadata.urn, None)
        word = self._words.get(done.metadata.op)
        if word is None or not is_on_a_cloud(done.metadata):
            return None
        return f"  {word}  {resource_name(done.metadata)}"
