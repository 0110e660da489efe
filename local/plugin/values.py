"""Values in the engine's messages: unknown ones at preview, secret ones, whole numbers.

https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/properties.go
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public constant of the protocol
Values = dict[str, Any]


def plain(message: Struct) -> tuple[Values, set[str]]:
    """Return a message's values without secret marks, and the top-level names that had one."""
    given: Values = MessageToDict(message)
    return {name: _open(value) for name, value in given.items()}, {
        name for name, value in given.items() if _has_secret(value)
    }


def sealed(values: Mapping[str, Any], secret: Iterable[str]) -> Struct:
    """Return the message of these values, with a secret mark on the names in `secret`."""
    names = set(secret)
    marked = {
        name: {SIGNATURE: _SECRET, "value": value} if name in names else value
        for name, value in values.items()
    }
    return ParseDict(marked, Struct())


def _open(value: object) -> object:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return _open(value.get("value"))
        return {name: _open(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_open(part) for part in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _has_secret(value: object) -> bool:
    if isinstance(value, dict):
        return value.get(SIGNATURE) == _SECRET or any(_has_secret(part) for part in value.values())
    return isinstance(value, list) and any(_has_secret(part) for part in value)
