"""Runs checks against a store."""

from collections.abc import Callable, Iterable

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from cli.check_store.check import NOT_RUN, OTHER_OWNER, YES, Check, Results
from cli.check_store.scratch_buckets import ScratchBuckets
from cli.check_store.store import Store, describe
from cli.errors import CommandError


def run_checks(store: Store, checks: Iterable[Check], progress: Callable[[int], None]) -> Results:
    """Run checks in order.

    Args:
        store: The store.
        checks: The checks.
        progress: Called with the number of checks that are done.

    Returns:
        The results by the checks' names.

    Raises:
        CommandError: The store does not answer, or refuses to create a bucket.
    """
    results: dict[str, str] = {}
    try:
        with ScratchBuckets(store) as scratch:
            for number, check in enumerate(checks, 1):
                results[check.name] = _run(check, scratch, results)
                progress(number)
    except (EndpointConnectionError, ConnectTimeoutError) as problem:
        raise CommandError(
            f"The object store at {store.endpoint} does not answer ({problem}): is the endpoint "
            "right and up?"
        ) from None
    except BotoCoreError as problem:
        raise CommandError(f"The object store at {store.endpoint}: {problem}.") from None
    return results


def _run(check: Check, scratch: ScratchBuckets, results: Results) -> str:
    if check.needs == OTHER_OWNER:
        can_run = scratch.other is not None
    else:
        can_run = not check.needs or results.get(check.needs) == YES
    if not can_run:
        return NOT_RUN
    try:
        return check.run(scratch)
    except (EndpointConnectionError, ConnectTimeoutError):
        raise  # every further check would fail alike
    except ClientError as error:
        return describe(error)
    except (BotoCoreError, OSError):
        return "no answer"
