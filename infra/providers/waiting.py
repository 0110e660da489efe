"""Waiting for a database instance: what counts as ready, and for how long."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from infra.errors import DatabaseError, DatabaseUnavailable
from infra.providers import trove as client
from infra.providers.trove import Access, Instance
from infra.retries import Retries

if TYPE_CHECKING:
    from openstack.connection import Connection

#: Between two looks: short at first, since a stand-in is ready at once.
LOOKS = Retries(first=0.2, factor=1.3, longest=10.0)
FAILED = ("ERROR", "FAILED")
BUILDING = "BUILD"
#: Trove's `operating_status` of a database of which it hears nothing, or nothing clear
#: (trove/instance/service_status.py). While an agent starts anew that passes, so it is a failure
#: only once it has lasted: for this share of the whole wait, and at most so many minutes.
SILENT = "ERROR"
SILENT_SHARE, SILENT_MINUTES = 0.1, 5.0
#: Minutes for which every look may end in a 5xx before the wait is given up: gateways answer so
#: while a service starts anew.
UNAVAILABLE_MINUTES = 5.0
#: Minutes that a cloud may take to make an instance, and to remove one.
BUILD_MINUTES, GONE_MINUTES = 60.0, 30.0

T = TypeVar("T")


def obstacle(instance: Instance, access: Access | None) -> str:
    """What `instance` is not ready for, "" when it is.

    `status` stays ACTIVE while access changes and `operating_status` HEALTHY while a size does, so
    ready means all at once: both, the access that was asked for, and a public address.
    """
    told = (instance.status, instance.operating_status)
    if told != ("ACTIVE", "HEALTHY"):
        # The second is empty while the service is at work on the instance.
        return f"is {'/'.join(filter(None, told)) or 'in no known status'}"
    if access is not None and not instance.access.same_as(access):
        return "still has other ranges than asked for"
    if access is not None and access.is_public and not instance.host:
        return "has no public address yet"
    return ""


def failure(instance: Instance, silent: float, patience: float) -> str:
    """What no waiting mends, "" where it may; `silent`: seconds for which it has been SILENT.

    A database that could not be set up, or whose volume could not be grown, is FAILED for good,
    though its `status` may be ACTIVE.
    """
    told = f"{instance.status}/{instance.operating_status}"
    if instance.status in FAILED:
        return f"is in status {instance.status}{': ' + instance.fault if instance.fault else ''}"
    if instance.operating_status == "FAILED":
        return f"is in status {told}"
    if silent > patience:
        return f"has been {told} for {silent / 60:.1g} minutes: the cloud hears nothing of it"
    return ""


def until_ready(
    cloud: "Connection",
    id_: str,
    access: Access | None,
    minutes: float,
    also: Callable[[Instance], bool] = lambda _: True,
) -> Instance:
    """The instance once it is ready and `also` holds; raises DatabaseError when it fails first."""
    patience = 60 * min(minutes * SILENT_SHARE, SILENT_MINUTES)
    heard = time.monotonic()

    def look() -> tuple[Instance | None, str]:
        nonlocal heard
        instance = client.get(cloud, id_)
        if instance is None:
            raise DatabaseError(
                f"Database instance {id_} is gone: run `pulumi refresh`, then `up` makes a new one."
            )
        now = time.monotonic()
        # While it is built or resized, Trove has a limit of its own.
        silent = (instance.status, instance.operating_status) == ("ACTIVE", SILENT)
        heard = heard if silent else now
        if failed := failure(instance, now - heard, patience):
            raise DatabaseError(
                f"Database instance {instance.name} ({id_}) {failed}; ask the cloud's support, or"
                " remove it with `./pipeline destroy --data` and go up again."
            )
        left = obstacle(instance, access) or ("" if also(instance) else "still has its old size")
        return instance, left

    instance = _until(look, id_, minutes)
    assert instance is not None  # noqa: S101
    return instance


def remove(cloud: "Connection", id_: str) -> None:
    """Remove the instance, and return once the service answers 404; raises DatabaseError.

    While it is built, well or badly, Trove refuses.
    """

    def built() -> tuple[None, str]:
        instance = client.get(cloud, id_)
        building = instance is not None and instance.status == BUILDING
        return None, f"is {BUILDING}" if building else ""

    def gone() -> tuple[None, str]:
        instance = client.get(cloud, id_)
        return None, "" if instance is None else f"is {instance.status}"

    _until(built, id_, BUILD_MINUTES)
    client.delete(cloud, id_)
    _until(gone, id_, GONE_MINUTES)


def _until(look: Callable[[], tuple[T, str]], id_: str, minutes: float) -> T:
    answered = begun = time.monotonic()
    pauses, told = LOOKS.pauses(), ""
    while True:
        try:
            found, left = look()
        except DatabaseUnavailable as error:
            if time.monotonic() - answered > 60 * min(minutes, UNAVAILABLE_MINUTES):
                raise
            left = f"cannot be asked about ({error})"
        else:
            if not left:
                return found
            answered = time.monotonic()
        if time.monotonic() - begun > minutes * 60:
            raise DatabaseError(
                f"Database instance {id_} {left} after {minutes:g} minutes: run `up` again to wait"
                " on, or raise databaseWaitMinutes."
            )
        if left != told:
            # The engine shows what a provider writes here beside the resources.
            print(f"Database instance {id_} {left}; waiting.", file=sys.stderr, flush=True)
            told = left
        time.sleep(next(pauses))
