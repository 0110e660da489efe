"""The engine's events as lines that a person reads."""

import re

from pulumi.automation import OpType
from pulumi.automation.events import EngineEvent, StepEventMetadata

from cli.stacks.provider_words import plain

_DONE = {
    OpType.CREATE: "+ made",
    OpType.CREATE_REPLACEMENT: "+ made again",
    OpType.UPDATE: "~ changed",
    OpType.DELETE: "- removed",
    OpType.DELETE_REPLACED: "- removed to be made again",
    OpType.READ: "= read",
}
_PLANNED = {
    OpType.CREATE: "+ to make",
    OpType.CREATE_REPLACEMENT: "+ to make again",
    OpType.UPDATE: "~ to change",
    OpType.DELETE: "- to remove",
    OpType.DELETE_REPLACED: "- to remove and make again",
    OpType.REPLACE: "± to replace",
}
# What infra/providers/waiting.py writes while a database is made or changed, which takes minutes.
_WAITING = re.compile(r"Database instance .*; waiting\.")
_NO_NEWS = ("update failed", "preview failed")
_NO_RESOURCES = ("pulumi:pulumi:", "pulumi:providers:", "pipeline:infra:")


def resource_name(step: StepEventMetadata) -> str:
    """`Container input` for `urn:pulumi:…::openstack:objectstorage/container:Container::input`."""
    kind, name = step.urn.split("::")[-2:]
    return f"{kind.rsplit(':', 1)[-1].rsplit('/', 1)[-1]} {name}"


def is_ours(step: StepEventMetadata) -> bool:
    """Whether a step is of a thing on a cloud, not the engine's own nor one of our components."""
    return not step.type.startswith(_NO_RESOURCES)


class Story:
    """What an operation has done so far: what is under way, what went wrong."""

    def __init__(self, *, planning: bool = False) -> None:
        self.under_way: dict[str, str] = {}
        self.errors: list[str] = []
        self.steps: list[StepEventMetadata] = []
        self._words = _PLANNED if planning else _DONE

    def tell(self, event: EngineEvent) -> str | None:
        """Take an event in; the line it is worth, if any."""
        if event.diagnostic_event and event.diagnostic_event.severity == "error":
            message = plain(event.diagnostic_event.message)
            if message and message not in (*self.errors, *_NO_NEWS):
                self.errors.append(message)
        waiting = event.diagnostic_event and _WAITING.search(event.diagnostic_event.message)
        if waiting:
            return f"    {waiting[0]}"
        if event.resource_pre_event:
            step = event.resource_pre_event.metadata
            self.steps += [step] if is_ours(step) else []
            if step.op in _DONE and is_ours(step):
                self.under_way[step.urn] = resource_name(step)
        if event.res_op_failed_event:
            self.under_way.pop(event.res_op_failed_event.metadata.urn, None)
        # A plan's steps have both events, and nothing is done between them.
        planning = self._words is _PLANNED
        done = event.resource_pre_event if planning else event.res_outputs_event
        if done is None:
            return None
        self.under_way.pop(done.metadata.urn, None)
        word = self._words.get(done.metadata.op)
        if word is None or not is_ours(done.metadata):
            return None
        return f"  {word}  {resource_name(done.metadata)}"
