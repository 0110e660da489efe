"""Who may log in to the machine: the operator's address and SSH public key."""

import ipaddress
import socket
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import CommandError
from cli.init.prompt import Prompt

_PREFERRED = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
_ADDRESS_SERVICE = "https://checkip.amazonaws.com"
_SECONDS = 4


def own_address(cloud_url: str) -> str:
    """Return this computer's address as a cloud sees it, as `a.b.c.d/32`; "" if unknown.

    The local address from which the cloud is reached is right unless it is private: then a public
    service is queried, since only a host outside sees the address after NAT.

    Args:
        cloud_url: Any address of the cloud.
    """
    host = urlsplit(cloud_url).hostname or ""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(place)  # sends nothing: the kernel only chooses a route
            mine = ipaddress.ip_address(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
    if mine.is_loopback or mine.is_global:
        return _as_range(mine)
    return _public_address()


def public_key(given: str | None, prompt: Prompt) -> str:
    """Return the path of an SSH public key; offer to make a key pair where there is none.

    Args:
        given: The path that was given, None to choose among those in ~/.ssh.
        prompt: Asks the user.

    Raises:
        CommandError: There is no key and none was made.
    """
    folder = Path.home() / ".ssh"
    found = sorted(folder.glob("*.pub"), key=_rank)
    if given is None and not found:
        return str(_make_key(folder, prompt))
    if given is None and len(found) == 1:
        return str(found[0])
    return prompt.choice(
        given,
        "--ssh-key",
        "SSH key that may log in to the machine",
        [str(path) for path in found] if given is None else [given],
        default=str(found[0]) if found else "",
    )


def _public_address() -> str:
    try:
        with urllib.request.urlopen(_ADDRESS_SERVICE, timeout=_SECONDS) as answer:
            return _as_range(ipaddress.ip_address(answer.read(64).decode("ascii").strip()))
    except (OSError, ValueError):
        return ""


def _as_range(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def _rank(path: Path) -> tuple[int, str]:
    known = path.name in _PREFERRED
    return (_PREFERRED.index(path.name) if known else len(_PREFERRED), path.name)


def _make_key(folder: Path, prompt: Prompt) -> Path:
    key = folder / "id_ed25519"
    if not prompt.confirm(
        f"You have no SSH key: make one, {key}, without passphrase?", default=True
    ):
        raise CommandError(
            "There is no SSH public key in ~/.ssh: make a pair with 'ssh-keygen -t ed25519', then "
            "run the same command again."
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise CommandError(f"ssh-keygen could not make {key}: {reason.strip()}") from None
    return Path(f"{key}.pub")
