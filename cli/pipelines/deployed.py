"""The pipelines that a stack's state has, with their resources.

The outputs do not suffice: an `up` that was refused because of objects in a bucket has written
outputs without the pipeline, whose resources are still there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.stacks import outputs
from cli.stacks.outputs import Outputs
from cli.stacks.pulumi_stack import BUCKET_NAMES

if TYPE_CHECKING:
    from cli.stacks.target import Target

_COMPONENT = "pipeline:infra:Pipeline"


@dataclass(frozen=True)
class DeployedPipeline:
    """A pipeline in the state.

    Attributes:
        name: Its name.
        buckets: Buckets that the stack made for it; adopted ones are the user's.
        protected: URNs of its resources that the engine refuses to delete.
    """

    name: str
    buckets: tuple[str, ...]
    protected: tuple[str, ...]


@dataclass(frozen=True)
class DeployedStack:
    """What a stack's state and outputs say of its pipelines.

    Attributes:
        outputs: The outputs, None where the last `up` did not get as far as writing them.
        pipelines: The pipelines in the state, by name.
    """

    outputs: Outputs | None
    pipelines: Mapping[str, DeployedPipeline]

    @property
    def names(self) -> list[str]:
        """The pipelines' names; a version without pipelines has its only one in the outputs."""
        return list(self.pipelines or (self.outputs.pipelines if self.outputs else ()))


def find(target: "Target") -> DeployedStack:
    """Return what is deployed of a stack; no pipelines where nothing is.

    Raises:
        CommandError: The engine cannot read the state.
    """
    if not target.exists:
        return DeployedStack(None, {})
    stack = target.open()
    resources, values = stack.resources(), stack.outputs()
    found = {each.name: each for each in _pipelines(resources)}
    return DeployedStack(outputs.read(values) if "s3SecretKey" in values else None, found)


def _pipelines(resources: Sequence[Mapping[str, Any]]) -> Iterator[DeployedPipeline]:
    for component in resources:
        if component["type"] != _COMPONENT:
            continue
        own = list(_descendants(resources, component["urn"]))
        yield DeployedPipeline(
            component["urn"].rpartition("::")[2],
            tuple(
                str(each["outputs"][BUCKET_NAMES[each["type"]]])
                for each in own
                if each["type"] in BUCKET_NAMES and not each.get("external")
            ),
            tuple(each["urn"] for each in own if each.get("protect")),
        )


def _descendants(
    resources: Sequence[Mapping[str, Any]], parent: str
) -> Iterator[Mapping[str, Any]]:
    for each in resources:
        if each.get("parent") == parent:
            yield each
            yield from _descendants(resources, each["urn"])
