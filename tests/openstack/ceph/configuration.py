"""The text of ceph.conf for one monitor, one OSD and one gateway that trust this machine."""

from dataclasses import dataclass
from pathlib import Path

MON = "a"
GATEWAY = "client.rgw"


@dataclass(frozen=True)
class Keystone:
    """Where the gateway asks about EC2 credentials and tokens, and as whom (admin rights needed).

    https://docs.ceph.com/en/pacific/radosgw/keystone/
    """

    url: str  # without /v3
    user: str
    password: str
    project: str
    domain: str = "Default"
    roles: str = "member,admin"


def text(
    folder: Path, fsid: str, mon_port: int, gateway_port: int, keystone: Keystone | None
) -> str:
    """The whole file. Nothing authenticates within the cluster: it listens on loopback only."""
    sections = {
        "global": {
            "fsid": fsid,
            "mon host": f"v1:127.0.0.1:{mon_port}/0",
            "public network": "127.0.0.0/8",
            "cluster network": "127.0.0.0/8",
            "ms bind ipv6": "false",
            "ms bind msgr2": "false",
            "auth cluster required": "none",
            "auth service required": "none",
            "auth client required": "none",
            "keyring": folder / "keyring",
            "run dir": folder,
            "admin socket": "",  # its path may not be longer than 107 bytes; it is not used
            "pid file": "",
            "log file": "",
            "log to stderr": "true",
            "mon cluster log to stderr": "false",
            "mon cluster log file": "",
            # One copy of everything, in memory, in few placement groups: up in seconds.
            "osd objectstore": "memstore",
            "memstore device bytes": 1 << 31,
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd pool default pg num": 4,
            "osd pool default pgp num": 4,
            "osd pool default pg autoscale mode": "off",
            "osd crush chooseleaf type": 0,
            "osd class update on start": "false",
            "osd class load list": "*",
            "osd class default list": "*",
            "osd memory target": 939_524_096,  # the least it takes
            "mon allow pool size one": "true",
            # The monitor gathers changes for a second, and a start makes ten, one after the other.
            "paxos propose interval": 0.05,
            "paxos min wait": 0.01,
            "mon max pg per osd": 4000,
            "mon data avail crit": 1,  # per cent: a full disk of the host does not matter
            "mon data avail warn": 2,
            "mon data": folder / "mon",
            "osd data": folder / "osd",
        },
        GATEWAY: {
            "rgw data": folder / "gateway",
            "rgw frontends": f"beast endpoint=127.0.0.1:{gateway_port}",
            "rgw thread pool size": 32,
            # The object store's URL in a catalog ends in AUTH_%(project_id)s, as on Allas.
            "rgw swift account in url": "true",
            **({} if keystone is None else _keystone(keystone)),
        },
    }
    return "".join(
        f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in options.items())
        for name, options in sections.items()
    )


def _keystone(keystone: Keystone) -> dict[str, str]:
    return {
        "rgw keystone url": keystone.url,
        "rgw keystone api version": "3",
        "rgw keystone admin user": keystone.user,
        "rgw keystone admin password": keystone.password,
        "rgw keystone admin project": keystone.project,
        "rgw keystone admin domain": keystone.domain,
        "rgw keystone accepted roles": keystone.roles,
        "rgw keystone implicit tenants": "false",
        "rgw s3 auth use keystone": "true",
    }
