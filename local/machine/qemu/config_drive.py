"""The config drive of a `qemu` machine, as Nova makes it: an ISO 9660 disk labelled `config-2`.

User-data is Nova's, byte for byte; what the host adds is vendor-data.
https://docs.openstack.org/nova/latest/user/metadata.html has the formats and the file names.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from local.api.networks import INTERNAL_CIDR
from local.machine import machine, user_data, vendor_data
from local.machine.firewall import Interface

LABEL = "config-2"
MAC = "fa:16:3e:00:00:02"
_PROXY = "/usr/lib/systemd/systemd-socket-proxyd"
_UNITS = "/etc/systemd/system"


def write(drive: Path, record: dict[str, str], packed: str) -> None:
    """Write the disk.

    Args:
        drive: the file to write.
        record: the machine's `id`, `name` and `public_key`.
        packed: packed user-data.

    Raises:
        OSError: xorriso failed.
    """
    folder = drive.with_suffix(".files")
    latest = folder / "openstack" / "latest"
    shutil.rmtree(folder, ignore_errors=True)
    latest.mkdir(parents=True, mode=0o700)
    (latest / "user_data").write_bytes(base64.b64decode(packed))
    forwarding = _forwarding_script(user_data.loopback_ports(packed))
    documents = {
        "meta_data": _meta_data(record),
        "network_data": _network_data(machine.load_interface(drive.parent)),
        "vendor_data": {"cloud-init": vendor_data.document(forwarding)},
    }
    for name, document in documents.items():
        (latest / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    command = ["xorriso", "-as", "mkisofs", "-quiet", "-J", "-r", "-V", LABEL]
    drive.touch(mode=0o600)
    done = subprocess.run(
        [*command, "-o", str(drive), str(folder)], capture_output=True, text=True, check=False
    )
    shutil.rmtree(folder)
    if done.returncode:
        raise OSError(f"The config drive could not be made: {done.stderr.strip()}")


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


def _network_data(interface: Interface | None) -> dict[str, object]:
    """One interface with an address by DHCP, and the one in the cloud's internal network."""
    links = [{"id": "link", "type": "ovs", "ethernet_mac_address": MAC, "mtu": 1450}]
    networks: list[dict[str, object]] = [{"id": "network0", "type": "ipv4_dhcp", "link": "link"}]
    if interface is not None:
        links.append({**links[0], "id": "internal", "ethernet_mac_address": interface.mac})
        networks.append(
            {
                "id": "network1",
                "type": "ipv4",
                "link": "internal",
                "routes": [],
                "ip_address": interface.address,
                "netmask": str(ip_network(INTERNAL_CIDR).netmask),
            }
        )
    return {"links": links, "networks": networks, "services": []}


def _forwarding_script(ports: Sequence[int]) -> list[str]:
    """The lines that forward ports of the guest's loopback to the host's."""
    script, sockets = [], []
    for port in ports:
        name = f"to-host-{port}"
        units = {
            "socket": f"[Socket]\nListenStream=127.0.0.1:{port}\n"
            "[Install]\nWantedBy=sockets.target",
            "service": f"[Service]\nExecStart={_PROXY} {vendor_data.HOST}:{port}",
        }
        script += [
            vendor_data.here_document(f"{_UNITS}/{name}.{suffix}", text)
            for suffix, text in units.items()
        ]
        sockets.append(f"{name}.socket")
    if sockets:
        enable = f"systemctl enable --now --no-block {' '.join(sockets)}"
        script.append(f"systemctl daemon-reload; {enable}")
    return script
