"""What a `container` machine finds at its first boot: cloud-init's NoCloud seed.

user-data is Nova's, byte for byte. Everything that this host adds is vendor-data: how its package
clients reach their registries. https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

import base64
import configparser
import json
import os
import re
from pathlib import Path

from local import files
from local.machine import container_network as network

SEED = "var/lib/cloud/seed/nocloud"
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
# What tells how to reach a registry; the rest is about this machine.
_PIP_SETTINGS = (*("index-url", "extra-index-url", "trusted-host", "proxy", "retries", "timeout"),)


def write(disk: Path, folder: Path, record: dict[str, str]) -> None:
    """Write the seed below `disk`: user-data as packed in `folder`, and what `record` names."""
    seed = disk / SEED
    seed.mkdir(parents=True, exist_ok=True)
    for each in (seed, *seed.relative_to(disk).parents):  # these modes are the guest's
        (disk / each).chmod(0o755)
    (seed / "user-data").write_bytes(base64.b64decode((folder / "user-data").read_bytes()))
    (seed / "user-data").chmod(0o600)
    texts = {"meta-data": _meta_data(record), "vendor-data": vendor_data()}
    for name, text in {**texts, "network-config": _network_config()}.items():
        files.write(seed / name, text)


def _meta_data(record: dict[str, str]) -> str:
    keys = [record["public_key"]] if record.get("public_key") else []
    known = {"instance-id": record["id"], "local-hostname": record["name"], "public-keys": keys}
    return json.dumps(known)


def _network_config() -> str:
    """Static, and without IPv6: networkd would wait 13 seconds for a router."""
    device = {
        "accept-ra": False,
        "link-local": [],
        "addresses": [f"{network.ADDRESS}/24"],
        "routes": [{"to": "default", "via": network.HOST}],
        "nameservers": {"addresses": [network.DNS]},
    }
    return json.dumps({"version": 2, "ethernets": {network.DEVICE: device}})


def vendor_data() -> str:
    """Host settings that the guest needs. `bootcmd`, which our user-data does not use."""
    script = [f"[ -e {_DONE} ] && exit 0", _here_document("/etc/pip.conf", pip_settings())]
    for path in sorted(_CERTIFICATES.glob("*.crt")):
        text = path.read_text(encoding="utf-8")
        script.append(_here_document(str(path), text))
        script.append(f"cat {path} >> {_BUNDLE}")
    script.append(f"touch {_DONE}")
    # In a subshell: cloud-init joins all commands into one script.
    return "#cloud-config\n" + json.dumps({"bootcmd": ["(\n" + "\n".join(script) + "\n)"]})


_DONE = "/var/lib/cloud/.host-settings"


def pip_settings() -> str:
    """How this machine's pip reaches its registry, as a pip.conf."""
    found: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    parser.read([path.expanduser() for path in _PIP_FILES], encoding="utf-8")
    for name in _PIP_SETTINGS:
        variable = "PIP_" + name.upper().replace("-", "_")
        value = os.environ.get(variable) or parser.get("global", name, fallback="")
        if value:
            # What this machine has on its loopback, the guest finds elsewhere.
            found[name] = re.sub(r"\b(127\.0\.0\.1|localhost)\b", network.HOST, value)
    lines = [
        f"{name} = {' '.join(value.split())}\n"
        for name, value in {**found, "cert": _BUNDLE}.items()
    ]
    return "[global]\n" + "".join(lines)


def _here_document(path: str, text: str) -> str:
    return f"cat > {path} <<'END-OF-FILE'\n{text.rstrip()}\nEND-OF-FILE"
