"""Seconds from a PUT into the input bucket until its negative is in the output bucket."""

from typing import Any

import boto3
from botocore.config import Config

from bench import arrivals
from bench.benchmark import Result, Setup
from bench.photos import SIZES, PhotoSet
from bench.plots import Lines
from bench.table import Table
from cli.machines import machine_kind
from cli.paths import LocalPaths
from cli.stacks import outputs
from cli.stacks.local_stack import LocalStack

TITLE = "Latency, from `put` to negative"
TEXT = """The local stack as `./pipeline up` makes it, with its units as they are. Photographs of
2 MP (JPEG, quality 90) arrive at random (exponential gaps, 2 s on average), the same
for every run; a latency is from before the PUT until HEAD finds the negative, asked for every 25
ms. The store (moto) and the database share the cores."""


def measure(setup: Setup) -> Result:
    """Measure ten minutes of arrivals, five seconds if `quick`."""
    duration = 5.0 if setup.quick else 600.0
    stack = LocalStack(LocalPaths(setup.folder / "local"))
    try:
        machine_kind.choose(stack, setup.machine, "bookworm")
        stack.open().up()
        uploads = PhotoSet(setup.photos).uploads(SIZES["P2"])
        found = arrivals.latencies(_buckets(outputs.read(stack.outputs())), uploads, duration)
    finally:
        stack.destroy(data=True)
    middle, late = arrivals.median_and_p99(found)
    columns = ["machine", "arrivals", "minutes", "median, s", "p99, s", "least, s", "largest, s"]
    line = [setup.machine, str(len(found)), f"{duration / 60:.1f}"]
    line += [f"{value:.2f}" for value in (middle, late, found[0], found[-1])]
    steps = [(value, 100 * (i + 1) / len(found)) for i, value in enumerate(found)]
    plot = Lines(
        "latency", "From put to negative", "seconds", "% of arrivals", {setup.machine: steps}
    )
    figures = {"median s": middle, "p99 s": late}
    return Result([Table("", columns, [line])], figures, [plot])


def _buckets(stack: outputs.Outputs) -> arrivals.Buckets:
    pipeline = stack.pipeline(None)
    return arrivals.Buckets(_client(stack), pipeline.input_bucket, pipeline.output_bucket)


def _client(stack: outputs.Outputs) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=stack.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=stack.s3_access_key,
        aws_secret_access_key=stack.s3_secret_key,
        config=config,
    )
