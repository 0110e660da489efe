"""The two clouds' entries in clouds.yaml, as a customer and as their administrator have them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import private_file
from tests.openstack.services.configuration import DATABASE_REGION, REGION
from tests.openstack.services.layout import Layout

if TYPE_CHECKING:
    from openstack.connection import Connection

COMPUTE, DATABASE = "pouta", "pukki"
TENANT, ADMIN = "demo", "admin"


def write(layout: Layout) -> None:
    """Both files (0600)."""
    private_file.write(layout.clouds_yaml, _yaml(layout, TENANT, layout.passwords.tenant))
    private_file.write(layout.admin_clouds_yaml, _yaml(layout, ADMIN, layout.passwords.admin))


def admin(layout: Layout, entry: str) -> "Connection":
    """A connection to one of the two with all rights."""
    return connect(layout.admin_clouds_yaml, entry)


def connect(clouds_yaml: Path, entry: str) -> "Connection":
    """A connection to what a clouds.yaml names, whatever OS_* variables say."""
    from openstack.config import OpenStackConfig  # noqa: PLC0415 - takes most of a second
    from openstack.connection import Connection  # noqa: PLC0415

    config = OpenStackConfig(config_files=[str(clouds_yaml)], load_envvars=False)
    return Connection(config=config.get_one(entry))


def _yaml(layout: Layout, user: str, password: str) -> str:
    entries = {
        COMPUTE: _entry(layout.auth_url, REGION, user, password),
        DATABASE: _entry(layout.database_auth_url, DATABASE_REGION, user, password),
    }
    return json.dumps({"clouds": entries}, indent=2)  # JSON is YAML


def _entry(auth_url: str, region: str, user: str, password: str) -> dict[str, Any]:
    return {
        "auth": {
            "auth_url": auth_url,
            "username": user,
            "password": password,
            "project_name": user,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": region,
        "interface": "public",
        "identity_api_version": 3,
    }
