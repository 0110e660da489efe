"""Types of single settings: text in, value out, or a ValueError about the text.

Its message follows the setting's name: "is 'x': set it to …".
"""

import difflib
import ipaddress
import json
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from clients import key_files

#: Bucket names that S3, Swift and virtual-host addressing all take (S3 user guide, "Bucket naming
#: rules", without dots, which break TLS host names).
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
#: Pukki refuses wider ranges; a database open to thousands of addresses is a mistake anyway.
_WIDEST_DATABASE_PREFIX = 22
#: By IP version; 0.0.0.0/1 and 128.0.0.0/1 are everybody too.
_WIDEST_OPEN_PREFIX = {4: 8, 6: 19}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def text(needed: str = "", pattern: str = "", like: str = "") -> BeforeValidator:
    """Check a text: `needed` says what to set if it is empty, `like` what fits `pattern`."""

    def check(value: str) -> str:
        value = value.strip()
        if not value and needed:
            raise ValueError(f"is missing: set it to {needed}.")
        if value and pattern and not re.fullmatch(pattern, value):
            raise ValueError(f"is {value!r}, which is not valid: set it to {like}.")
        return value

    return BeforeValidator(check)


def one_of(*choices: str) -> BeforeValidator:
    """Refuse a value that is not among `choices`, and suggest the nearest."""

    def check(value: str) -> str:
        if value.strip() not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"is {value!r}: set it to one of {', '.join(choices)}{hint}.")
        return value.strip()

    return BeforeValidator(check)


def whole_number(low: int, high: int) -> BeforeValidator:
    """Read a whole number from `low` to `high`."""

    def check(value: object) -> int:
        text = str(value)
        if not re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text) or not low <= int(text) <= high:
            raise ValueError(f"is {value!r}: set it to a whole number from {low} to {high}.")
        return int(text)

    return BeforeValidator(check)


def list_of_texts(name: str) -> BeforeValidator:
    """Read the setting `name` as a list of texts, each once."""

    def check(value: str) -> list[str]:
        try:
            found = json.loads(value) if value.strip() else []
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise ValueError(
                f"is {value!r}, not a list of texts: write it in the stack's YAML file as a list,"
                f" or use `pulumi config set --path '{name}[0]' VALUE`."
            )
        if twice := [item for item in found if found.count(item) > 1]:
            raise ValueError(f"has {twice[0]!r} twice: name it once.")
        return found

    return BeforeValidator(check)


def _boolean(value: str) -> bool:
    if value.strip() not in ("true", "false"):
        raise ValueError(f"is {value!r}: set it to true or false.")
    return value.strip() == "true"


def _bucket(value: object) -> str:
    value = str(value)
    if value.strip() and not _BUCKET.fullmatch(value.strip()):
        raise ValueError(
            f"is {value!r}, which stores refuse as a bucket name: use 3 to 63 of a-z, 0-9 and"
            " hyphens, with a letter or digit first and last."
        )
    return value.strip()


def _range(limit: Callable[[Network], str]) -> BeforeValidator:
    """Read a range in canonical form; `limit` says what else is wrong with it."""

    def check(value: object) -> str:
        item = str(value)
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            remedy = "write an address and a mask, 192.0.2.7/32"
            raise ValueError(f"is {item!r}, which is not a CIDR range: {remedy}.") from None
        if "/" not in item:
            raise ValueError(f"is {item!r} without a mask: write {network}.")
        if ipaddress.ip_interface(item).ip != network.network_address:
            raise ValueError(f"is {item!r}, which is not a CIDR range: write {network}.")
        if wrong := limit(network):
            raise ValueError(f"is {item!r}: {wrong}.")
        return str(network)

    return BeforeValidator(check)


def _database_limit(network: Network) -> str:
    if network.version != 4:  # noqa: PLR2004
        return "the database service takes IPv4 only, so write an IPv4 range"
    if network.prefixlen < _WIDEST_DATABASE_PREFIX:
        return f"ranges wider than /{_WIDEST_DATABASE_PREFIX} are refused, so write narrower ones"
    return ""


def _open_limit(wrong: str) -> Callable[[Network], str]:
    return lambda net: wrong if net.prefixlen < _WIDEST_OPEN_PREFIX[net.version] else ""


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse one range in two spellings: each becomes a resource that is named after it."""
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"has {twice[0]!r} twice: name it once.")
    return values


Text = Annotated[str, text()]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
BucketName = Annotated[str, BeforeValidator(_bucket)]
#: Contents of the PEM file that the setting names, "" where none is named.
Certificate = Annotated[str, BeforeValidator(key_files.certificate)]
PrivateKey = Annotated[str, BeforeValidator(key_files.private_key)]
#: The one line of a public key's file.
PublicKey = Annotated[str, BeforeValidator(key_files.public_key)]
Cidr = Annotated[str, _range(lambda _: "")]
_operator_limit = _open_limit(
    "port 22 is not opened to so many, so write your own address, 192.0.2.7/32"
)
_client_limit = _open_limit("no port is opened to so many, so write the ranges of your networks")
_Distinct = AfterValidator(_distinct)
#: Ranges that may reach the database (IPv4 only), port 22, and the machine's other open ports.
DatabaseRanges = Annotated[tuple[Annotated[str, _range(_database_limit)], ...], _Distinct]
OperatorRanges = Annotated[tuple[Annotated[str, _range(_operator_limit)], ...], _Distinct]
ClientRanges = Annotated[tuple[Annotated[str, _range(_client_limit)], ...], _Distinct]
