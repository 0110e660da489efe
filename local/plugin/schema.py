"""The properties of each type, read from the installed SDK's `…Args` classes."""

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
    """What is wrong with a property, in one sentence."""

    property: str
    reason: str


@dataclass(frozen=True)
class Property:
    """A property as the SDK declares it; `kind` is what a value may be."""

    name: str
    required: bool
    kind: Any


@cache
def arguments(token: str) -> type | None:
    """The SDK's class of arguments for `openstack:networking/port:Port`, None for no such type."""
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
    """The properties of an `…Args` class by their name on the wire."""
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
    """Everything that is wrong with a resource's inputs."""
    owner = arguments(token)
    if owner is None:
        return [Failure("", f"The provider openstack has no type {token}.")]
    return list(_object(owner, values, ""))


def _object(owner: type, values: Mapping[str, Any], at: str) -> typing.Iterator[Failure]:
    known = properties(owner)
    for name, value in values.items():
        if name.startswith("__"):
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            yield Failure(at + name, f"There is no property '{at}{name}'{hint}")
        elif value is not None:
            yield from _value(known[name].kind, value, at + name)
    for name, wanted in known.items():
        if wanted.required and values.get(name) is None:
            yield Failure(at + name, f"The property '{at}{name}' is required, but missing.")


def _value(kind: Any, value: object, at: str) -> typing.Iterator[Failure]:
    if value == UNKNOWN:
        return
    choices = _choices(kind)
    for choice in choices:
        if _fits(choice, value):
            yield from _inside(choice, value, at)
            return
    wanted = " or ".join(sorted({_word(choice) for choice in choices}))
    yield Failure(at, f"The property '{at}' takes {wanted}, not {type(value).__name__}.")


def _inside(choice: Any, value: object, at: str) -> typing.Iterator[Failure]:
    origin = get_origin(choice)
    if isinstance(value, list) and origin is not None:
        for place, item in enumerate(value):
            yield from _value(get_args(choice)[0], item, f"{at}[{place}]")
    elif isinstance(value, Mapping) and origin is not None:
        for name, item in value.items():
            yield from _value(get_args(choice)[1], item, f"{at}.{name}")
    elif isinstance(value, Mapping) and isinstance(choice, type):
        yield from _object(choice, value, f"{at}.")


def _choices(kind: Any) -> list[Any]:
    """The plain kinds in `Input[Optional[X]]`: no outputs, awaitables, None or typed dicts."""
    if get_origin(kind) is typing.Union or type(kind).__name__ == "UnionType":
        return [choice for part in get_args(kind) for choice in _choices(part)]
    origin = get_origin(kind) or kind
    name = getattr(origin, "__name__", "")
    if kind is type(None) or name in ("Output", "Awaitable") or typing.is_typeddict(kind):
        return []
    return [kind]


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


def _word(choice: Any) -> str:
    words = {str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
    origin = get_origin(choice) or choice
    if isinstance(origin, type) and choice not in words and issubclass(origin, Sequence):
        return "a list"
    return words.get(choice, "an object")
