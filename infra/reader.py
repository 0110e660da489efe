"""Reading one setting after another, so that every bad one is named, not only the first."""

import base64
import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

#: Bucket names that S3, Swift and virtual-host addressing all take (S3 user guide, "Bucket naming
#: rules", without dots, which break TLS host names).
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reader:
    """Reads `values` (setting -> text as Pulumi hands it over) and collects `errors`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.errors: list[str] = []

    def refuse(self, sentence: str) -> None:
        if sentence not in self.errors:  # a setting may be read twice
            self.errors.append(sentence)

    def text(self, name: str, *, needed: str = "", pattern: str = "", like: str = "") -> str:
        """A text; `needed` says what to set when it is empty, `like` what fits `pattern`."""
        value = self.values.get(name, "").strip()
        if not value and needed:
            self.refuse(f"{name} is missing: set it to {needed}.")
        elif value and pattern and not re.fullmatch(pattern, value):
            self.refuse(f"{name} is {value!r}, which is no valid value: set it to {like}.")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.text(name)
        if value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            self.refuse(f"{name} is {value!r}: set it to one of {', '.join(choices)}{hint}.")
            return choices[0]
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.text(name)
        if not re.fullmatch(r"-?\d+", value) or not low <= int(value) <= high:
            self.refuse(f"{name} is {value!r}: set it to a whole number from {low} to {high}.")
            return low
        return int(value)

    def boolean(self, name: str) -> bool:
        value = self.text(name)
        if value not in ("true", "false"):
            self.refuse(f"{name} is {value!r}: set it to true or false.")
        return value != "false"

    def items(self, name: str) -> tuple[str, ...]:
        """A list of texts (Pulumi hands structured values over as JSON)."""
        value = self.text(name)
        try:
            found = json.loads(value) if value else []
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            self.refuse(
                f"{name} is {value!r}, not a list of texts: write it in the stack's YAML file as a"
                f" list, or use `pulumi config set --path '{name}[0]' VALUE`."
            )
            return ()
        return tuple(found)

    def cidrs(self, name: str, check: Callable[[Network], str]) -> tuple[str, ...]:
        """Ranges, each once, in canonical form; `check` tells what is wrong with one, or ""."""
        found: list[str] = []
        for item in self.items(name):
            try:
                network = ipaddress.ip_network(item, strict=False)
                exact = ipaddress.ip_network(item, strict=True)
            except ValueError:
                hint = str(network) if _is_network(item) else "an address and a mask, 192.0.2.7/32"
                self.refuse(f"{name} has {item!r}, which is no CIDR range: write {hint}.")
                continue
            if "/" not in item:
                self.refuse(f"{name} has {item!r} without a mask: write {exact}.")
            elif wrong := check(exact):
                self.refuse(f"{name} has {item!r}: {wrong}.")
            elif str(exact) in found:
                self.refuse(f"{name} has {item!r} twice: name it once.")
            else:
                found.append(str(exact))
        return tuple(found)

    def bucket(self, name: str) -> str:
        value = self.text(name)
        if value and not BUCKET.fullmatch(value):
            self.refuse(
                f"{name} is {value!r}, which stores refuse as a bucket name: use 3 to 63 of a-z,"
                " 0-9 and hyphens, with a letter or digit first and last."
            )
        return value

    def file(self, name: str, *, needed: str = "") -> str:
        """The text of the file whose path is the setting; "" where none is named."""
        path = self.text(name, needed=needed)
        if not path:
            return ""
        try:
            return Path(path).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            self.refuse(
                f"{name} names {path}, which cannot be read ({reason}): name a file of yours."
            )
            return ""

    def public_key(self, name: str) -> str:
        """The one line of a public key's file."""
        before = len(self.errors)
        key = self.file(name, needed="the path of a public key, for example ~/.ssh/id_ed25519.pub")
        path = self.text(name)
        if len(self.errors) > before:
            return ""
        if "PRIVATE KEY" in key:
            self.refuse(
                f"{name} names {path}, a private key: name the file ending in .pub beside it."
            )
        elif not _is_public_key(key.strip()):
            self.refuse(
                f"{name} names {path}, which holds no single public key: make a pair with"
                " `ssh-keygen -t ed25519` and name its .pub file."
            )
        return key.strip()


def _is_network(item: str) -> bool:
    try:
        ipaddress.ip_network(item, strict=False)
    except ValueError:
        return False
    return True


def _is_public_key(line: str) -> bool:
    """Whether `line` is "type base64 comment", the type said again inside (RFC 4253, 6.6)."""
    kind, _, rest = line.partition(" ")
    try:
        inside = base64.b64decode(rest.partition(" ")[0], validate=True)
    except ValueError:
        return False
    name = kind.encode()
    return (
        "\n" not in line
        and bool(name)
        and inside[: 4 + len(name)] == (len(name).to_bytes(4, "big") + name)
    )


def declared(project_file: Path) -> dict[str, str]:
    """Settings that Pulumi.yaml declares, each with its default as the engine hands it over."""
    project = yaml.safe_load(project_file.read_text(encoding="utf-8"))
    return {name: _as_config(entry["default"]) for name, entry in project["config"].items()}


def _as_config(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default)
