"""Files of keys and certificates that a person names: their content, or a ValueError about one.

The error's message follows the name of what named the file: "names x, which …".
"""

from collections.abc import Callable
from pathlib import Path

from clients.certificates import is_certificate, is_private_key, is_ssh_key


def certificate(path: str) -> str:
    """Return the content of a PEM file with a certificate, "" where none is named."""
    return _pem(path, "certificate", is_certificate)


def private_key(path: str) -> str:
    """Return the content of a PEM file with a private key, "" where none is named."""
    return _pem(path, "private key without a passphrase", is_private_key)


def public_key(path: str) -> str:
    """Return the one line of an SSH public key's file."""
    if not path.strip():
        example = "~/.ssh/id_ed25519.pub"
        raise ValueError(f"is missing: set it to the path of a public key, for example {example}.")
    key = _content(path).strip()
    if "PRIVATE KEY" in key:
        raise ValueError(f"names {path}, a private key: name the file ending in .pub beside it.")
    if not is_ssh_key(key):
        raise ValueError(
            f"names {path}, which does not hold a single public key: make a pair with"
            " `ssh-keygen -t ed25519` and name its .pub file."
        )
    return key


def _pem(path: str, what: str, is_valid: Callable[[str], bool]) -> str:
    content = _content(path) if path.strip() else ""
    if content and not is_valid(content):
        raise ValueError(f"names {path}, which contains no {what}: name a PEM file.")
    return content


def _content(path: str) -> str:
    try:
        return Path(path.strip()).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ValueError(f"names {path}, which cannot be read ({reason}): name a file.") from None
