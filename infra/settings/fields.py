"""Types of single settings: text in, value out, and what is wrong with it as a sentence's end.

A validator raises ValueError with what follows the setting's name: "is 'x': set it to …".
"""

import base64
import difflib
import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

#: Bucket names that S3, Swift and virtual-host addressing all take (S3 user guide, "Bucket naming
#: rules", without dots, which break TLS host names).
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
#: Pukki refuses wider ranges; a database open to thousands of addresses is a mistake anyway.
_WIDEST_DATABASE_PREFIX = 22
#: By IP version; 0.0.0.0/1 and 128.0.0.0/1 are everybody too.
_WIDEST_OPERATOR_PREFIX = {4: 8, 6: 19}
#: In SSH keys, of the number before each part.
_LENGTH_BYTES = 4

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def required(what: str) -> BeforeValidator:
    """Refuse an empty value; `what` follows "set it to"."""

    def check(value: str) -> str:
        if not value.strip():
            raise ValueError(f"is missing: set it to {what}.")
        return value.strip()

    return BeforeValidator(check)


def matching(pattern: str, what: str) -> BeforeValidator:
    """Refuse a value that does not match `pattern`; `what` follows "set it to"."""

    def check(value: str) -> str:
        if value.strip() and not re.fullmatch(pattern, value.strip()):
            raise ValueError(f"is {value!r}, which is not valid: set it to {what}.")
        return value.strip()

    return BeforeValidator(check)


def one_of(*choices: str) -> BeforeValidator:
    """Refuse a value that is not among `choices`, and suggest the nearest."""

    def check(value: str) -> str:
        value = value.strip()
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"is {value!r}: set it to one of {', '.join(choices)}{hint}.")
        return value

    return BeforeValidator(check)


def whole_number(low: int, high: int) -> BeforeValidator:
    """Read a whole number from `low` to `high`."""

    def check(value: str) -> int:
        text = value.strip()
        if not re.fullmatch(r"-?[0-9]+", text) or not low <= int(text) <= high:
            raise ValueError(f"is {value!r}: set it to a whole number from {low} to {high}.")
        return int(text)

    return BeforeValidator(check)


def _boolean(value: str) -> bool:
    if value.strip() not in ("true", "false"):
        raise ValueError(f"is {value!r}: set it to true or false.")
    return value.strip() == "true"


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
        for item in found:
            if found.count(item) > 1:
                raise ValueError(f"has {item!r} twice: name it once.")
        return found

    return BeforeValidator(check)


def _bucket(value: str) -> str:
    if value and not _BUCKET.fullmatch(value):
        raise ValueError(
            f"is {value!r}, which stores refuse as a bucket name: use 3 to 63 of a-z, 0-9 and"
            " hyphens, with a letter or digit first and last."
        )
    return value


def _range(item: str, limit: Callable[[Network], str]) -> str:
    """Return a range in canonical form; `limit` says what is wrong with it, or ""."""
    try:
        network = ipaddress.ip_network(item, strict=False)
    except ValueError:
        raise ValueError(
            f"is {item!r}, which is not a CIDR range: write an address and a mask, 192.0.2.7/32."
        ) from None
    try:
        exact = ipaddress.ip_network(item, strict=True)
    except ValueError:
        raise ValueError(f"is {item!r}, which is not a CIDR range: write {network}.") from None
    if "/" not in item:
        raise ValueError(f"is {item!r} without a mask: write {exact}.")
    if wrong := limit(exact):
        raise ValueError(f"is {item!r}: {wrong}.")
    return str(exact)


def _database_range(item: str) -> str:
    def limit(network: Network) -> str:
        if network.version != 4:  # noqa: PLR2004
            return "the database service takes IPv4 only, so write an IPv4 range"
        if network.prefixlen < _WIDEST_DATABASE_PREFIX:
            widest = _WIDEST_DATABASE_PREFIX
            return f"ranges wider than /{widest} are refused, so write narrower ones"
        return ""

    return _range(item, limit)


def _operator_range(item: str) -> str:
    def limit(network: Network) -> str:
        if network.prefixlen < _WIDEST_OPERATOR_PREFIX[network.version]:
            return "port 22 is not opened to so many, so write your own address, 192.0.2.7/32"
        return ""

    return _range(item, limit)


def _file(path: str) -> str:
    if not path.strip():
        return ""
    try:
        return Path(path.strip()).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ValueError(f"names {path}, which cannot be read ({reason}): name a file.") from None


def _public_key(path: str) -> str:
    if not path.strip():
        raise ValueError(
            "is missing: set it to the path of a public key, for example ~/.ssh/id_ed25519.pub."
        )
    key = _file(path).strip()
    if "PRIVATE KEY" in key:
        raise ValueError(f"names {path}, a private key: name the file ending in .pub beside it.")
    if not _is_public_key(key):
        raise ValueError(
            f"names {path}, which does not hold a single public key: make a pair with"
            " `ssh-keygen -t ed25519` and name its .pub file."
        )
    return key


def _is_public_key(line: str) -> bool:
    """Whether `line` is "type base64 comment" with a whole key inside.

    A key is its type and some numbers, each a length and as many bytes (RFC 4253, section 6.6).
    """
    kind, _, rest = line.partition(" ")
    try:
        inside = base64.b64decode(rest.partition(" ")[0], validate=True)
    except ValueError:
        return False
    fields, end = [], 0
    while end < len(inside):
        begin = end + _LENGTH_BYTES
        end = begin + int.from_bytes(inside[end:begin])
        fields.append(inside[begin:end])
    is_whole = end == len(inside) and len(fields) > 1
    return "\n" not in line and is_whole and fields[0] == kind.encode()


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_strip)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
BucketName = Annotated[str, BeforeValidator(_bucket), BeforeValidator(_strip)]
#: Contents of the file that the setting names, "" where none is named.
FileText = Annotated[str, BeforeValidator(_file)]
#: The one line of a public key's file.
PublicKey = Annotated[str, BeforeValidator(_public_key)]
#: IPv4 ranges that may reach the database, and ranges that may reach port 22.
DatabaseRange = Annotated[str, BeforeValidator(_database_range)]
OperatorRange = Annotated[str, BeforeValidator(_operator_range)]
