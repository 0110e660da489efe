"""The base of our dynamic providers, and of their resources.

Pulumi pickles a provider into the state by reference: its class must be in a module of `infra`, not
in `__main__`, have no attributes, and read credentials inside its methods. A class that moves stays
importable under its old name.
"""

import sys
import traceback
from typing import Any, ClassVar

from pulumi import ResourceOptions
from pulumi.dynamic import ConfigureRequest, DiffResult, Resource, ResourceProvider

from clients.errors import InfraError


class Provider(ResourceProvider):
    """A dynamic provider whose errors reach the terminal as sentences."""

    # Nothing secret is pickled, and a plain value shows which class the state names.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Show our errors without a traceback; runs once in the provider's own process."""
        # `python -m pulumi.dynamic` answers every exception with `traceback.format_exc()`, and
        # offers no other way to pass a message.
        if traceback.format_exc is not _message:
            traceback.format_exc = _message


class ProvidedResource(Resource, name="Provided"):
    """A resource of a provider, whose outputs are its inputs and those that are named here."""

    provider: ClassVar[type[ResourceProvider]]
    further_outputs: ClassVar[tuple[str, ...]] = ()
    secret_outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, name: str, props: dict[str, Any], opts: ResourceOptions | None = None
    ) -> None:
        outputs = dict.fromkeys((*self.further_outputs, *self.secret_outputs))
        secret = ResourceOptions(additional_secret_outputs=list(self.secret_outputs))
        merged = ResourceOptions.merge(opts, secret)
        super().__init__(self.provider(), name, {**props, **outputs}, merged)


_format_exc = traceback.format_exc


def _message(*args: Any, **kwargs: Any) -> str:
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, InfraError) else _format_exc(*args, **kwargs)


def differing(olds: dict[str, Any], news: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return those of `names` whose values differ; an unknown value does."""
    return [name for name in names if olds.get(name) != news.get(name)]


def diff(
    olds: dict[str, Any],
    news: dict[str, Any],
    *,
    replace: tuple[str, ...] = (),
    update: tuple[str, ...] = (),
    delete_first: bool = True,
) -> DiffResult:
    """Compare properties by name; `delete_first` where names are unique."""
    replaces = differing(olds, news, replace)
    changes = bool(replaces or differing(olds, news, update))
    return DiffResult(changes=changes, replaces=replaces, delete_before_replace=delete_first)
