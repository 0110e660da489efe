"""A pipeline's buckets: input (the queue) and output."""

import pulumi

from infra.buckets import Buckets, Role
from infra.clouds import Compute
from infra.names import FIRST_PIPELINE
from infra.settings.models import Settings


class Pipeline(pulumi.ComponentResource):
    """The buckets of one pipeline.

    Attributes:
        name: The pipeline's name.
        input: The input bucket's name.
        output: The output bucket's name.
        contents: What a machine depends on: deleted before they are purged.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        cloud: Compute,
        buckets: Buckets,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("pipeline:infra:Pipeline", name, None, opts)
        self.name = name
        prefix = "" if name == FIRST_PIPELINE else f"{name}-"
        chosen = settings.buckets(cloud.project_id)
        queue = buckets.bucket(
            Role(f"{prefix}input", name, is_queue=True), chosen[name, "input"], self
        )
        results = buckets.bucket(Role(f"{prefix}output", name), chosen[name, "output"], self)
        self.input, self.output = queue.name, results.name
        self.contents = [*queue.resources, *results.resources]
        self.register_outputs({"input": self.input, "output": self.output})
