"""The config drive of a `qemu` machine, as Nova makes it: an ISO 9660 disk labelled `config-2`.

user-data is Nova's, byte for byte; what this host adds is vendor-data, as Nova's operators add it.
https://docs.openstack.org/nova/latest/user/metadata.html (the formats and the file names)
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from local.machine import container_network as network
from local.machine import container_seed

LABEL = "config-2"
MAC = "fa:16:3e:00:00:02"
_PROXY = "/usr/lib/systemd/systemd-socket-proxyd"
_UNITS = "/etc/systemd/system"


def write(drive: Path, record: dict[str, str], packed: str) -> None:
    """Make the disk `drive` of packed user-data and of what `record` names; raises OSError."""
    folder = drive.with_suffix(".files")
    latest = folder / "openstack" / "latest"
    shutil.rmtree(folder, ignore_errors=True)
    latest.mkdir(parents=True, mode=0o700)
    (latest / "user_data").write_bytes(base64.b64decode(packed))
    documents = {
        "meta_data": _meta_data(record),
        "network_data": _network_data(),
        "vendor_data": {"cloud-init": _vendor_data(network.ports(packed))},
    }
    for name, document in documents.items():
        (latest / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-J", "-r", "-V", LABEL]
    drive.touch(mode=0o600)
    made = subprocess.run(
        [*command, "-o", str(drive), str(folder)], capture_output=True, text=True, check=False
    )
    shutil.rmtree(folder)
    if made.returncode:
        raise OSError(f"The config drive could not be made: {made.stderr.strip()}")


def _meta_data(record: dict[str, str]) -> dict[str, object]:
    keys = {"key": record["public_key"]} if record.get("public_key") else {}
    return {
        "uuid": record["id"],
        "name": record["name"],
        "hostname": record["name"],
        "public_keys": keys,
        "availability_zone": "nova",
        "launch_index": 0,
    }


def _network_data() -> dict[str, object]:
    """One interface, its address by DHCP."""
    return {
        "links": [{"id": "link", "type": "ovs", "ethernet_mac_address": MAC, "mtu": 1450}],
        "networks": [{"id": "network0", "type": "ipv4_dhcp", "link": "link"}],
        "services": [],
    }


def _vendor_data(ports: Sequence[int]) -> str:
    """Host settings, and sockets that lead the loopback's endpoints to the host."""
    document = yaml.safe_load(container_seed.vendor_data())
    names = [f"to-host-{port}" for port in ports]
    script = []
    for name, port in zip(names, ports, strict=True):
        socket = f"[Socket]\nListenStream=127.0.0.1:{port}\n[Install]\nWantedBy=sockets.target"
        service = f"[Service]\nExecStart={_PROXY} {network.HOST}:{port}"
        for suffix, text in (("socket", socket), ("service", service)):
            script.append(f"cat > {_UNITS}/{name}.{suffix} <<'END'\n{text}\nEND")
    if names:
        sockets = " ".join(f"{name}.socket" for name in names)
        script.append(f"systemctl daemon-reload; systemctl enable --now --no-block {sockets}")
    document["bootcmd"] += ["(\n" + "\n".join(script) + "\n)"] if script else []
    return "#cloud-config\n" + json.dumps(document)
