"""Parameters of transforms: what users write becomes values, or a sentence each."""

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, Literal

import pytest

from worker import transforms
from worker.errors import InvalidSettings
from worker.transforms.parameters import Range, read


@dataclass(frozen=True)
class Parameters:
    """One of each type."""

    question: str
    max_size: Annotated[int, Range(1, 100)] = 10
    share: Annotated[float, Range(0, 1)] = 0.5
    is_fast: bool = False
    kind: Literal["a", "b"] = "a"
    places: list[int] = field(default_factory=list)
    limit: Annotated[int | None, Range(1, 5)] = None


def test_defaults() -> None:
    assert read(Parameters, {"question": "who?"}) == Parameters("who?")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("maxSize", 7, 7),
        ("maxSize", "100", 100),
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("isFast", "true", True),
        ("isFast", False, False),
        ("kind", "b", "b"),
        ("places", [1, "2"], [1, 2]),
        ("limit", None, None),
        ("limit", "5", 5),
        ("question", "7", "7"),
        ("question", "", ""),
    ],
)
def test_values(name: str, value: object, expected: object) -> None:
    found = read(Parameters, {"question": "who?"} | {name: value})
    attribute = {"maxSize": "max_size", "isFast": "is_fast"}.get(name, name)
    assert getattr(found, attribute) == expected
    assert type(getattr(found, attribute)) is type(expected)


NUMBER = "set it to a whole number from 1 to 100."


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"maxSize": 0}, f"maxSize is 0: {NUMBER}"),
        ({"maxSize": "101"}, f"maxSize is '101': {NUMBER}"),
        ({"maxSize": 1.5}, f"maxSize is 1.5: {NUMBER}"),
        ({"maxSize": True}, f"maxSize is True: {NUMBER}"),
        ({"maxSize": "many"}, f"maxSize is 'many': {NUMBER}"),
        ({"maxSize": None}, f"maxSize is None: {NUMBER}"),
        ({"maxSize": "9" * 5000}, f"maxSize is '{'9' * 5000}': {NUMBER}"),
        ({"share": "nan"}, "share is 'nan': set it to a number from 0 to 1."),
        ({"share": 2}, "share is 2: set it to a number from 0 to 1."),
        ({"share": 10**400}, f"share is {10**400}: set it to a number from 0 to 1."),
        ({"isFast": "yes"}, "isFast is 'yes': set it to true or false."),
        ({"isFast": 1}, "isFast is 1: set it to true or false."),
        ({"kind": "c"}, "kind is 'c': set it to one of a, b."),
        ({"kind": ["a"]}, "kind is ['a']: set it to one of a, b."),
        ({"places": 7}, "places is 7: set it to a list, each element a whole number."),
        ({"places": ["x"]}, "places is ['x']: set it to a list, each element a whole number."),
        ({"limit": 6}, "limit is 6: set it to a whole number from 1 to 5."),
        ({"question": 7}, "question is 7: set it to a text."),
        ({"question": {"a": 1}}, "question is {'a': 1}: set it to a text."),
        ({"maxsize": 1}, "maxsize is not a parameter of this transform: did you mean maxSize?"),
        ({"max_size": 1}, "max_size is not a parameter of this transform: did you mean maxSize?"),
        (
            {"zzz": 1},
            "zzz is not a parameter of this transform: it has question, maxSize, share, isFast, "
            "kind, places, limit.",
        ),
    ],
)
def test_problems(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        read(Parameters, {"question": "who?"} | values)
    assert str(raised.value).splitlines() == [problem]


def test_all_problems_are_reported() -> None:
    with pytest.raises(InvalidSettings) as raised:
        read(Parameters, {"maxSize": 0, "other": 1})
    assert [problem.partition(" ")[0] for problem in str(raised.value).splitlines()] == [
        "other",
        "question",
        "maxSize",
    ]
    assert "question is missing: set it to a text." in str(raised.value).splitlines()


def test_a_transform_without_parameters() -> None:
    assert read(None, {}) is None
    with pytest.raises(InvalidSettings, match="a is not a parameter: this transform has none"):
        read(None, {"a": 1})


@pytest.mark.parametrize("name", transforms.names())
def test_every_transform_works_without_parameters_or_says_what_is_missing(name: str) -> None:
    kind = transforms.find(name).parameters_type
    required = [one.name for one in fields(kind) if is_required(one)] if kind else []
    if required:
        with pytest.raises(InvalidSettings, match=f"^{required[0]} is missing: set it to "):
            read(kind, {})
    else:
        assert read(kind, {}) == (kind() if kind else None)


def is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def test_an_unknown_transform() -> None:
    with pytest.raises(InvalidSettings, match=r"transform is .sharpen.: set it to one of .*copy,"):
        transforms.describe("sharpen")
