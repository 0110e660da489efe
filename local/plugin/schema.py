"""The properties of each resource type, read from the installed SDK's `…Args` classes."""

import difflib
import importlib
import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

import pulumi

from local.plugin.values import UNKNOWN

SDK = "pulumi_openstack"
PROVIDER = "pulumi:providers:openstack"


@dataclass(frozen=True)
class Failure:
    """A property that is wrong, and the reason in one sentence."""

    property: str
    reason: str


@dataclass(frozen=True)
class Property:
    """A property as the SDK declares it; `annotation` is the type of its values."""

    name: str
    required: bool
    annotation: Any


@cache
def arguments(token: str) -> type | None:
    """Return the SDK's class of a type's arguments, None if there is no such type.

    Args:
        token: the Pulumi type, such as `openstack:networking/port:Port`.
    """
    parts = token.split(":")
    if token == PROVIDER:
        return typing.cast(type, importlib.import_module(SDK).ProviderArgs)
    try:
        module = importlib.import_module(f"{SDK}.{parts[1].split('/')[0]}")
    except (ImportError, IndexError):
        return None
    return getattr(module, f"{parts[-1]}Args", None)


@cache
def properties(owner: type) -> dict[str, Property]:
    """Return the properties of an `…Args` class by their name on the wire."""
    init = owner.__init__  # type: ignore[misc]
    # `pulumi.Input` names Output by a string that only pulumi's own module resolves.
    hints = typing.get_type_hints(init, vars(inspect.getmodule(owner)), vars(pulumi.output))
    found = {}
    for name, parameter in inspect.signature(init).parameters.items():
        getter = getattr(owner, name, None)
        if not isinstance(getter, property):
            continue  # self
        wire = getattr(getter.fget, "_pulumi_name", name)
        required = parameter.default is inspect.Parameter.empty
        found[wire] = Property(wire, required, hints[name])
    return found


def failures(token: str, values: Mapping[str, Any]) -> list[Failure]:
    """Return everything that is wrong with a resource's inputs.

    Args:
        token: the Pulumi type.
        values: the inputs by their name on the wire.
    """
    owner = arguments(token)
    if owner is None:
        return [Failure("", f"The provider openstack has no type {token}.")]
    return list(_check_object(owner, values, ""))


def _check_object(owner: type, values: Mapping[str, Any], at: str) -> typing.Iterator[Failure]:
    known = properties(owner)
    for name, value in values.items():
        if name.startswith("__"):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            yield Failure(at + name, f"There is no property '{at}{name}'{hint}")
        elif value is not None:
            yield from _check_value(known[name].annotation, value, at + name)
    for name, declared in known.items():
        if declared.required and values.get(name) is None:
            yield Failure(at + name, f"The property '{at}{name}' is required, but missing.")


def _check_value(annotation: Any, value: object, at: str) -> typing.Iterator[Failure]:
    if value == UNKNOWN:
        return
    choices = _choices(annotation)
    for choice in choices:
        if _fits(choice, value):
            yield from _check_inside(choice, value, at)
            return
    expected = " or ".join(sorted({_describe(choice) for choice in choices}))
    yield Failure(at, f"The property '{at}' takes {expected}, not {type(value).__name__}.")


def _check_inside(choice: Any, value: object, at: str) -> typing.Iterator[Failure]:
    origin = get_origin(choice)
    if isinstance(value, list) and origin is not None:
        for place, item in enumerate(value):
            yield from _check_value(get_args(choice)[0], item, f"{at}[{place}]")
    elif isinstance(value, Mapping) and origin is not None:
        for name, item in value.items():
            yield from _check_value(get_args(choice)[1], item, f"{at}.{name}")
    elif isinstance(value, Mapping) and isinstance(choice, type):
        yield from _check_object(choice, value, f"{at}.")


def _choices(annotation: Any) -> list[Any]:
    """The plain types in `Input[Optional[X]]`: no outputs, awaitables, None or typed dicts."""
    if get_origin(annotation) is typing.Union or type(annotation).__name__ == "UnionType":
        return [choice for part in get_args(annotation) for choice in _choices(part)]
    name = getattr(get_origin(annotation) or annotation, "__name__", "")
    if name in ("Output", "Awaitable", "NoneType") or typing.is_typeddict(annotation):
        return []
    return [annotation]


def _fits(choice: Any, value: object) -> bool:
    origin = get_origin(choice) or choice
    if choice is Any:
        return True
    if choice in (int, float):
        whole = choice is float or isinstance(value, int)
        return isinstance(value, (int, float)) and not isinstance(value, bool) and whole
    if choice in (str, bool):
        return isinstance(value, choice)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list)
    return isinstance(value, Mapping)


def _describe(choice: Any) -> str:
    words = {str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
    origin = get_origin(choice) or choice
    if isinstance(origin, type) and choice not in words and issubclass(origin, Sequence):
        return "a list"
    return words.get(choice, "an object")
