"""cloud-init's vendor-data: how the guest's package clients reach the host's registries.

User-data stays Nova's, byte for byte; everything that the host adds is here, where a cloud's
operators add theirs. https://cloudinit.readthedocs.io/en/latest/explanation/vendordata.html
"""

import configparser
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

HOST, DNS = "10.0.2.2", "10.0.2.3"
"""The host's loopback and its DNS in slirp4netns's and in QEMU's user network."""
_DONE = "/var/lib/cloud/.host-settings"
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
# Only the settings that say how to reach a registry; the others are about the host.
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "retries", "timeout")


def document(more: Sequence[str] = ()) -> str:
    """Return the vendor-data: a `bootcmd`, which the pipeline's user-data does not use.

    Args:
        more: lines of a shell script that runs at every boot.
    """
    script = [f"[ -e {_DONE} ] && exit 0", here_document("/etc/pip.conf", pip_settings())]
    for path in sorted(_CERTIFICATES.glob("*.crt")):
        script.append(here_document(str(path), path.read_text(encoding="utf-8")))
        script.append(f"cat {path} >> {_BUNDLE}")
    script.append(f"touch {_DONE}")
    # cloud-init joins all commands into one script: a subshell keeps `exit` to its own part.
    commands = ["(\n" + "\n".join(lines) + "\n)" for lines in (script, more) if lines]
    return "#cloud-config\n" + json.dumps({"bootcmd": commands})


def here_document(path: str, text: str) -> str:
    """Return the shell command that writes a text to a path."""
    return f"cat > {path} <<'END-OF-FILE'\n{text.rstrip()}\nEND-OF-FILE"


def pip_settings(loopback: str = HOST, certificates: str = _BUNDLE) -> str:
    """Return how the host's pip reaches its registry, as a pip.conf.

    Args:
        loopback: The host's loopback interface as the guest reaches it.
        certificates: The guest's path of the authorities that the host trusts.
    """
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    parser.read([path.expanduser() for path in _PIP_FILES], encoding="utf-8")
    for name in _PIP_SETTINGS:
        variable = "PIP_" + name.upper().replace("-", "_")
        value = os.environ.get(variable) or parser.get("global", name, fallback="")
        if value:
            found[name] = re.sub(r"\b(127\.0\.0\.1|localhost)\b", loopback, value)
    lines = [
        f"{name} = {' '.join(value.split())}\n"
        for name, value in {**found, "cert": certificates}.items()
    ]
    return "[global]\n" + "".join(lines)
