"""Structured settings: maps that pydantic models describe, and one sentence for each fault."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from infra.errors import InvalidSettings

_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")


class Model(BaseModel):
    """A map with known keys; a field that is required has an example as its description."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )


M = TypeVar("M", bound=Model)


def parse(text: str) -> object:
    """Return the setting's value, which the engine hands over as JSON."""
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text


def checked(check: Callable[[str], object]) -> BeforeValidator:
    """Refuse a value of whose text `check` raises ValueError."""

    def run(value: object) -> object:
        check(str(value))
        return value

    return BeforeValidator(run)


def _name(text: str) -> None:
    if not _NAME.fullmatch(text):
        rule = "use a letter first, then up to 19 of a-z, 0-9 and hyphens"
        raise ValueError(f"is not a name: {rule}.")


#: The name of a pipeline or a camera.
Name = Annotated[str, checked(_name)]


def read(model: type[M], value: object, shown: Callable[[object], str] = repr) -> M:
    """Return the model of a value; `shown` writes values into sentences.

    Raises:
        InvalidSettings: One sentence for each fault, which begins with the path of the value.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise InvalidSettings([_sentence(fault, model, shown) for fault in faults]) from None


def _sentence(fault: Mapping[str, Any], model: type[Model], shown: Callable[[object], str]) -> str:
    path, key = "", ""
    for part in (each for each in fault["loc"] if each != "[key]"):
        path += f"[{part}]" if isinstance(part, int) else f".{part}" * bool(path) or str(part)
        key = str(part)
    limits, kind = fault.get("ctx", {}), fault["type"]
    if kind == "extra_forbidden":
        known = list(_fields(model, fault["loc"]))
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}."
        return f"{path} is not a known key: {hint}"
    if kind in ("missing", "too_short"):
        example = _fields(model, fault["loc"])[key].description
        return f"{path} is missing: set it, for example to {example}."
    if "error" in limits:
        return f"{path} {limits['error']}"
    wanted = {
        "int": "a whole number",
        "bool": "true or false",
        "string": "a text",
        "tuple": "a list",
        "dict": "a map",
        "model": "a map",
    }.get(kind.partition("_")[0], "")
    if "ge" in limits or "le" in limits:
        wanted = f"at least {limits['ge']}" if "ge" in limits else f"at most {limits['le']}"
    if wanted == "a map" and len(fault["loc"]) <= 2:  # noqa: PLR2004  deeper ones have no example
        field = _fields(model, fault["loc"]).get(key)
        wanted += f", for example {field.description}" if field and field.description else ""
    return f"{path} is {shown(fault['input'])}: set it to {wanted or 'another value'}."


def _fields(model: type[Model], path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return key -> field of the map in which the last part of a path is."""
    fields = {str(each.alias): each for each in model.model_fields.values()}
    if len(path) <= 1:
        return fields
    kind = fields[str(path[0])].annotation
    inner = next(each for each in (kind, *get_args(kind)) if _is_model(each))
    # A map of names to maps has a name between the two keys.
    return _fields(inner, path[2 if get_origin(kind) is dict else 1 :])


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)
