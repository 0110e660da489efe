"""The SSH public key that may log in to the machine."""

import subprocess
from pathlib import Path

from cli.errors import CommandError
from cli.init.ask import Asker

_PREFERRED = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


def public_key(given: str | None, asker: Asker) -> str:
    """The path of a public key's file; offers to make a pair where there is none."""
    folder = Path.home() / ".ssh"
    found = sorted(folder.glob("*.pub"), key=_rank)
    if given is None and not found:
        return str(_make(folder, asker))
    if given is None and len(found) == 1:
        return str(found[0])
    return asker.choice(
        given,
        "--ssh-key",
        "SSH key that may log in to the machine",
        [str(path) for path in found] if given is None else [given],
        default=str(found[0]) if found else "",
    )


def _rank(path: Path) -> tuple[int, str]:
    known = path.name in _PREFERRED
    return (_PREFERRED.index(path.name) if known else len(_PREFERRED), path.name)


def _make(folder: Path, asker: Asker) -> Path:
    key = folder / "id_ed25519"
    if not asker.confirm(
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
        said = getattr(error, "stderr", "") or str(error)
        raise CommandError(f"ssh-keygen could not make {key}: {said.strip()}") from None
    return Path(f"{key}.pub")
