"""Parameters of transforms: what users write, checked against a transform's dataclass.

Standard library only: the program at `preview`, the command `apply` and the sandboxed child read
parameters by this module, and none of them needs a further package on the machine.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from worker.errors import InvalidSettings


@dataclass(frozen=True)
class Range:
    """The least and the largest value of a number: `Annotated[int, Range(1, 100)]`."""

    low: float
    high: float


def read(
    kind: type | None,
    values: Mapping[str, object],
    shown: Callable[[object], str] = repr,
) -> Any:
    """Read parameters.

    Args:
        kind: The transform's `Parameters`: a dataclass whose fields are bool, int, float, str,
            Literal, lists of these, maps, or one of them or None; None if it has no parameters. Its
            `__post_init__` may raise ValueError with a sentence that begins with a parameter.
        values: Name in camelCase -> value. A text is taken as a number or boolean where one is
            needed: `pulumi config set --path` stores every value as text.
        shown: How a wrong value appears in a sentence; a secret one must not.

    Returns:
        An instance of `kind`, or None.

    Raises:
        InvalidSettings: One sentence for each problem, which begins with the parameter's name.
    """
    declared = {setting_name(one.name): one for one in fields(kind)} if kind else {}
    hints = get_type_hints(kind, include_extras=True) if kind else {}
    problems = [_unknown(name, declared) for name in values if name not in declared]
    given: dict[str, Any] = {}
    for name, field in declared.items():
        if name in values:
            try:
                given[field.name] = convert(hints[field.name], values[name])
            except ValueError as error:
                problems.append(f"{name} is {shown(values[name])}: set it to {error}.")
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{name} is missing: set it to {_wanted(hints[field.name])}.")
    if problems:
        raise InvalidSettings(problems)
    try:
        return kind(**given) if kind else None
    except ValueError as error:  # of __post_init__
        raise InvalidSettings([str(error)]) from None


def setting_name(name: str) -> str:
    """Return what users call a parameter: its name in camelCase."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _unknown(name: str, declared: Mapping[str, Field[Any]]) -> str:
    if not declared:
        return f"{name} is not a parameter: this transform has none, so remove it."
    from difflib import get_close_matches  # noqa: PLC0415  not needed in the child

    near = get_close_matches(name, declared, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(declared)}."
    return f"{name} is not a parameter of this transform: {remedy}"


def convert(hint: Any, value: object) -> Any:
    """Return a value as the type wants it; the ValueError says what is wanted instead."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [one for one in arguments[1:] if isinstance(one, Range)]
        try:
            found = convert(arguments[0], value)
        except ValueError:
            raise ValueError(_wanted(hint)) from None
        if found is not None and not all(one.low <= found <= one.high for one in limits):
            raise ValueError(_wanted(hint))
        return found
    if origin in (Union, types.UnionType):
        return None if value is None else convert(_without_none(arguments), value)
    if origin is Literal:
        if value in arguments:
            return value
        raise ValueError(_wanted(hint))
    try:
        if origin is list:
            return [convert(arguments[0], item) for item in _list(value)]
        if origin is dict:
            return _map(value)
        return _SCALARS[hint](value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(_wanted(hint)) from None


def _without_none(arguments: tuple[Any, ...]) -> Any:
    (only,) = (one for one in arguments if one is not type(None))
    return only


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _map(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise ValueError


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    found = float(value)
    if not abs(found) < float("inf"):
        raise ValueError
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_SCALARS: Mapping[Any, Callable[[object], Any]] = {
    bool: _boolean,
    int: _whole,
    float: _real,
    str: _text,
}


def _wanted(hint: Any) -> str:
    """Return what a type takes, as the end of "set it to …"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [one for one in arguments[1:] if isinstance(one, Range)]
        between = "".join(f" from {one.low:g} to {one.high:g}" for one in limits)
        return _wanted(arguments[0]) + between
    if origin in (Union, types.UnionType):
        return _wanted(_without_none(arguments))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is list:
        return f"a list, each element {_wanted(arguments[0])}"
    if origin is dict:
        return "a map"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(hint, "a text")
