"""cloud-init's NoCloud seed, which the guest finds at its first boot.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

import base64
import json
from pathlib import Path

from local import private_file
from local.machine import vendor_data
from local.machine.nspawn import network

SEED = "var/lib/cloud/seed/nocloud"


def write(disk: Path, folder: Path, record: dict[str, str]) -> None:
    """Write the seed.

    Args:
        disk: the folder of the guest's own changes to its tree.
        folder: the machine's folder, which holds the packed user-data.
        record: the machine's `id`, `name` and `public_key`.
    """
    seed = disk / SEED
    seed.mkdir(parents=True, exist_ok=True)
    for each in (seed, *seed.relative_to(disk).parents):  # these modes are the guest's
        (disk / each).chmod(0o755)
    packed = (folder / "user-data").read_bytes()
    private_file.write(seed / "user-data", base64.b64decode(packed))
    private_file.write(seed / "meta-data", _meta_data(record))
    private_file.write(seed / "vendor-data", vendor_data.document())
    private_file.write(seed / "network-config", _network_config())


def _meta_data(record: dict[str, str]) -> str:
    keys = [record["public_key"]] if record.get("public_key") else []
    known = {"instance-id": record["id"], "local-hostname": record["name"], "public-keys": keys}
    return json.dumps(known)


def _network_config() -> str:
    """A static address, and no IPv6: networkd would wait 13 seconds for a router."""
    device = {
        "accept-ra": False,
        "link-local": [],
        "addresses": [f"{network.ADDRESS}/24"],
        "routes": [{"to": "default", "via": vendor_data.HOST}],
        "nameservers": {"addresses": [vendor_data.DNS]},
    }
    return json.dumps({"version": 2, "ethernets": {network.DEVICE: device}})
