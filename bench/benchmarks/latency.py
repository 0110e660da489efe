"""Seconds from a PUT into the input bucket until its negative is in the output bucket."""

import random
import statistics
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

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

_GAP_SECONDS = 2.0
_LOOK_SECONDS = 0.025
_PATIENCE_SECONDS = 120


def measure(setup: Setup) -> Result:
    """Measure ten minutes of arrivals, five seconds if `quick`."""
    duration = 5.0 if setup.quick else 600.0
    stack = LocalStack(LocalPaths(setup.folder / "local"))
    try:
        machine_kind.choose(stack, setup.machine, "bookworm")
        stack.open().up()
        found = sorted(_arrivals(outputs.read(stack.outputs()), setup.photos, duration))
    finally:
        stack.destroy(data=True)
    middle, late = statistics.median(found), found[min(len(found) - 1, int(0.99 * len(found)))]
    columns = ["machine", "arrivals", "minutes", "median, s", "p99, s", "least, s", "largest, s"]
    line = [setup.machine, str(len(found)), f"{duration / 60:.1f}"]
    line += [f"{value:.2f}" for value in (middle, late, found[0], found[-1])]
    steps = [(value, 100 * (i + 1) / len(found)) for i, value in enumerate(found)]
    plot = Lines(
        "latency", "From put to negative", "seconds", "% of arrivals", {setup.machine: steps}
    )
    figures = {"median s": middle, "p99 s": late}
    return Result([Table("", columns, [line])], figures, [plot])


def _arrivals(stack: outputs.Outputs, photos: Path, duration: float) -> list[float]:
    store, uploads = _client(stack), PhotoSet(photos).uploads(SIZES["P2"])
    dice = random.Random(7)  # noqa: S311
    waiting: dict[str, float] = {}
    _put(store, stack, *uploads(0), waiting)  # wait for the boot, which is not measured
    _await(store, stack, waiting)
    found: list[float] = []
    begun = due = time.monotonic()
    number = 1
    while waiting or time.monotonic() < begun + duration:
        now = time.monotonic()
        if now >= due and now < begun + duration:
            _put(store, stack, *uploads(number), waiting)
            number, due = number + 1, due + dice.expovariate(1 / _GAP_SECONDS)
        found += _done(store, stack, waiting)
        if waiting and now - min(waiting.values()) > _PATIENCE_SECONDS:
            raise RuntimeError(f"no negative of {min(waiting)} in {_PATIENCE_SECONDS} seconds")
        time.sleep(_LOOK_SECONDS)
    return found


def _await(store: Any, stack: outputs.Outputs, waiting: dict[str, float]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while waiting:
        _done(store, stack, waiting)
        if time.monotonic() > deadline:
            raise RuntimeError(f"the machine did nothing in {_PATIENCE_SECONDS} seconds")
        time.sleep(_LOOK_SECONDS)


def _put(
    store: Any, stack: outputs.Outputs, key: str, body: bytes, waiting: dict[str, float]
) -> None:
    waiting[key] = time.monotonic()
    store.put_object(Bucket=stack.pipeline(None).input_bucket, Key=key, Body=body)


def _done(store: Any, stack: outputs.Outputs, waiting: dict[str, float]) -> list[float]:
    """Return the latencies of uploads whose negative has appeared, and stop waiting for them."""
    found = []
    for key, since in list(waiting.items()):
        try:
            store.head_object(Bucket=stack.pipeline(None).output_bucket, Key=f"negated_{key}")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:  # noqa: PLR2004
                raise
        else:
            found.append(time.monotonic() - since)
            del waiting[key]
    return found


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
