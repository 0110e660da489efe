"""Waiting for a database instance: when it is ready, when it has failed, and for how long."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from clients import trove
from clients.errors import DatabaseError, DatabaseUnavailable
from clients.trove import Access, Instance

if TYPE_CHECKING:
    from openstack.connection import Connection

#: Seconds between two polls: short at first, since the local cloud's database is ready at once.
FIRST_PAUSE, PAUSE_FACTOR, LONGEST_PAUSE = 0.05, 1.3, 10.0
FAILED = ("ERROR", "FAILED")
BUILDING = "BUILD"
#: Trove's `operating_status` of a database whose guest agent does not report, or reports something
#: unclear (trove/instance/service_status.py). It passes while an agent restarts, so it counts as a
#: failure only after this share of the whole wait, and after this many minutes at most.
SILENT = "ERROR"
SILENT_SHARE, SILENT_MINUTES = 0.1, 5.0
#: Minutes for which every poll may be answered with a 5xx: gateways do so while a service restarts.
UNAVAILABLE_MINUTES = 5.0
#: Minutes that each change in place may take.
CHANGE_MINUTES = 60.0
#: Minutes that a cloud may take to build an instance, and to delete one.
BUILD_MINUTES, DELETE_MINUTES = 60.0, 30.0

T = TypeVar("T")


def pending_reason(instance: Instance, access: Access | None) -> str:
    """Say why an instance is not ready yet, "" when it is; `access` is what it must admit."""
    # `status` stays ACTIVE while access changes and `operating_status` HEALTHY while the size does,
    # so ready means all of it: both, the access that was asked for, and a public address.
    status = (instance.status, instance.operating_status)
    if status != ("ACTIVE", "HEALTHY"):
        # operating_status is empty while Trove is at work on the instance.
        return f"is {'/'.join(filter(None, status)) or 'in no known status'}"
    if access is not None and not instance.access.same_as(access):
        return "still has other ranges than asked for"
    if access is not None and access.is_public and not instance.host:
        return "has no public address yet"
    return ""


def failure_reason(instance: Instance, silent: float, patience: float) -> str:
    """Say which failure waiting cannot fix, "" without one; `silent`: seconds without a report."""
    # A database that could not be set up, or whose volume could not be grown, stays FAILED, though
    # its `status` may be ACTIVE.
    status = f"{instance.status}/{instance.operating_status}"
    if instance.status in FAILED:
        return f"is in status {instance.status}{': ' + instance.fault if instance.fault else ''}"
    if instance.operating_status == "FAILED":
        return f"is in status {status}"
    if silent > patience:
        return f"has been {status} for {silent / 60:.1g} minutes: its agent does not report"
    return ""


def wait_until_ready(
    cloud: "Connection",
    id_: str,
    access: Access | None,
    minutes: float,
    also: Callable[[Instance], bool] = lambda _: True,
) -> Instance:
    """Wait for an instance; DatabaseError where it has failed, is gone, or is not ready in time."""
    patience = 60 * min(minutes * SILENT_SHARE, SILENT_MINUTES)
    last_report = time.monotonic()

    def poll() -> tuple[Instance | None, str]:
        nonlocal last_report
        instance = trove.get(cloud, id_)
        if instance is None:
            raise DatabaseError(
                f"Database instance {id_} is gone: run `pulumi refresh`, then `up` makes a new one."
            )
        now = time.monotonic()
        # While it is built or resized, Trove has its own limit.
        is_silent = (instance.status, instance.operating_status) == ("ACTIVE", SILENT)
        last_report = last_report if is_silent else now
        if reason := failure_reason(instance, now - last_report, patience):
            raise DatabaseError(
                f"Database instance {instance.name} ({id_}) {reason}; ask the cloud's support, or"
                " remove it with `./pipeline destroy --data` and run `up` again."
            )
        pending = pending_reason(instance, access)
        return instance, pending or ("" if also(instance) else "still has its old size")

    instance = _poll_until_done(poll, id_, minutes)
    assert instance is not None  # noqa: S101
    return instance


def change(cloud: "Connection", id_: str, access: Access, volume: int, flavor_id: str) -> None:
    """Change an instance's access, volume (GiB) and flavor, starting from what it is now.

    Each request is sent only when the instance is ready: Trove answers 422 otherwise.

    Raises:
        DatabaseError: The volume would shrink, or a change failed or took too long.
    """
    instance = wait_until_ready(cloud, id_, None, CHANGE_MINUTES)
    if volume < instance.volume:
        raise DatabaseError(trove.no_shrinking(volume, instance.volume))
    if not instance.access.same_as(access):
        trove.set_access(cloud, id_, access)
        wait_until_ready(cloud, id_, access, CHANGE_MINUTES)
    if volume > instance.volume:
        trove.grow_volume(cloud, id_, volume)
        wait_until_ready(cloud, id_, access, CHANGE_MINUTES, lambda i: i.volume >= volume)
    if flavor_id != instance.flavor_id:
        trove.set_flavor(cloud, id_, flavor_id)
        wait_until_ready(cloud, id_, access, CHANGE_MINUTES, lambda i: i.flavor_id == flavor_id)


def delete_and_wait(cloud: "Connection", id_: str) -> None:
    """Delete an instance, and return once Trove answers 404; DatabaseError if that takes long."""
    # Trove refuses to delete an instance that it is still building.

    def poll_built() -> tuple[None, str]:
        instance = trove.get(cloud, id_)
        is_building = instance is not None and instance.status == BUILDING
        return None, f"is {BUILDING}" if is_building else ""

    def poll_gone() -> tuple[None, str]:
        instance = trove.get(cloud, id_)
        return None, "" if instance is None else f"is {instance.status}"

    _poll_until_done(poll_built, id_, BUILD_MINUTES)
    trove.delete(cloud, id_)
    _poll_until_done(poll_gone, id_, DELETE_MINUTES)


def _poll_until_done(poll: Callable[[], tuple[T, str]], id_: str, minutes: float) -> T:
    """Poll until the second value, the reason to wait, is empty; return the first one."""
    begun = last_answer = time.monotonic()
    pause, reported = FIRST_PAUSE, ""
    while True:
        try:
            found, pending = poll()
        except DatabaseUnavailable as error:
            if time.monotonic() - last_answer > 60 * min(minutes, UNAVAILABLE_MINUTES):
                raise
            pending = f"could not be checked ({error})"
        else:
            if not pending:
                return found
            last_answer = time.monotonic()
        if time.monotonic() - begun > minutes * 60:
            raise DatabaseError(
                f"Database instance {id_} {pending} after {minutes:g} minutes: run `up` again to"
                " continue waiting, or raise databaseWaitMinutes."
            )
        if pending != reported:
            # The engine shows a provider's stderr beside the resources.
            print(f"Database instance {id_} {pending}; waiting.", file=sys.stderr, flush=True)
            reported = pending
        time.sleep(pause)
        pause = min(pause * PAUSE_FACTOR, LONGEST_PAUSE)
