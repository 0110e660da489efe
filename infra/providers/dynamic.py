"""What our dynamic providers share.

A provider is pickled into the state by reference: its class must live in a module of `infra`,
never in `__main__`, hold nothing, and read credentials inside its methods.
"""

import sys
import traceback
from typing import Any

from pulumi.dynamic import ConfigureRequest, DiffResult, ResourceProvider

from infra.errors import InfraError


class Provider(ResourceProvider):
    """A dynamic provider whose refusals reach the terminal as sentences."""

    # Nothing is captured, and a plain value lets a colleague read what the state calls.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Runs once in the provider's own process (`python -m pulumi.dynamic`).

        That process answers every exception with `traceback.format_exc()`; there is no other way
        to hand it a plain message.
        """
        if traceback.format_exc is not _message:
            traceback.format_exc = _message


_format_exc = traceback.format_exc


def _message(*args: Any, **kwargs: Any) -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, InfraError) else _format_exc(*args, **kwargs)


def differing(olds: dict[str, Any], news: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """Those of `names` whose values differ (an unknown value does)."""
    return [name for name in names if olds.get(name) != news.get(name)]


def diff(
    olds: dict[str, Any],
    news: dict[str, Any],
    *,
    replace: tuple[str, ...] = (),
    update: tuple[str, ...] = (),
) -> DiffResult:
    """A diff by two lists of names; what replaces is deleted first, since names are unique."""
    replaces = differing(olds, news, replace)
    changes = bool(replaces or differing(olds, news, update))
    return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)
