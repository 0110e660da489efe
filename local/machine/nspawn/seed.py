"""cloud-init's NoCloud seed, which the guest finds at its first boot.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import private_file
from local.api.networks import INTERNAL_CIDR
from local.machine import vendor_data
from local.machine.firewall import Interface
from local.machine.nspawn import network

SEED = "var/lib/cloud/seed/nocloud"


def write(disk: Path, folder: Path, record: Mapping[str, str], interface: Interface | None) -> None:
    """Write the seed.

    Args:
        disk: the folder of the guest's own changes to its tree.
        folder: the machine's folder, which holds the packed user-data.
        record: the machine's `id`, `name` and `public_key`.
        interface: its interface in the cloud's internal network, if it has one.
    """
    seed = disk / SEED
    seed.mkdir(parents=True, exist_ok=True)
    for each in (seed, *seed.relative_to(disk).parents):  # these modes are the guest's
        (disk / each).chmod(0o755)
    packed = (folder / "user-data").read_bytes()
    private_file.write(seed / "user-data", base64.b64decode(packed))
    private_file.write(seed / "meta-data", _meta_data(record))
    private_file.write(seed / "vendor-data", vendor_data.document())
    private_file.write(seed / "network-config", _network_config(interface))


def _meta_data(record: Mapping[str, str]) -> str:
    keys = [record["public_key"]] if record.get("public_key") else []
    known = {"instance-id": record["id"], "local-hostname": record["name"], "public-keys": keys}
    return json.dumps(known)


def _network_config(interface: Interface | None) -> str:
    """Static addresses, and no IPv6: networkd would wait 13 seconds for a router."""
    basis = {"accept-ra": False, "link-local": []}
    devices: dict[str, Any] = {
        network.DEVICE: {
            **basis,
            "addresses": [f"{network.ADDRESS}/24"],
            "routes": [{"to": "default", "via": vendor_data.HOST}],
            "nameservers": {"addresses": [vendor_data.DNS]},
        }
    }
    if interface is not None:
        address = f"{interface.address}/{INTERNAL_CIDR.partition('/')[2]}"
        devices[network.LINK_DEVICE] = {
            **basis,
            "macaddress": interface.mac,  # netplan's helper gives virtual devices another one
            "addresses": [address],
        }
    return json.dumps({"version": 2, "ethernets": devices})
