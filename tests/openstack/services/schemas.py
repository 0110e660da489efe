"""The services' tables, made by their own programs; what does not depend on each other at once."""

import os
from concurrent.futures import ThreadPoolExecutor

from tests.openstack.services import daemons, databases
from tests.openstack.services.configuration import DATABASE_REGION, REGION
from tests.openstack.services.layout import Layout

#: Nova fills these in from its own configuration at each start, so no port is in the tables.
CELL_DATABASE = "{{scheme}}://{{username}}@{{hostname}}/{schema}?{{query}}"
CELL_TRANSPORT = "{scheme}://{username}:{password}@{hostname}:{port}/"


def create(layout: Layout) -> None:
    """All tables, keys and the two administrators; MariaDB runs."""
    databases.execute(layout, "schemas.sql")
    chains = [
        _nova(layout),
        _neutron(layout),
        _keystone(layout, "", layout.auth_url, REGION),
        _keystone(layout, "-database", layout.database_auth_url, DATABASE_REGION),
        _others(layout),
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda chain: _run(layout, chain), chains))


def _run(layout: Layout, chain: list[list[str]]) -> None:
    for command in chain:
        daemons.run(layout, command)


def _keystone(layout: Layout, which: str, url: str, region: str) -> list[list[str]]:
    manage = [
        layout.program("keystone-manage"),
        *("--config-file", str(layout.etc / f"keystone{which}.conf")),
    ]
    for kind in ("fernet", "credential"):
        (layout.state / f"{kind}-keys{which}").mkdir(mode=0o700)
    points = [
        word
        for kind in ("admin", "internal", "public")
        for word in (f"--bootstrap-{kind}-url", url)
    ]
    password = ["--bootstrap-password", layout.passwords.admin, "--bootstrap-region-id", region]
    mine = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    return [
        [*manage, "fernet_setup", *mine],
        [*manage, "credential_setup", *mine],
        [*manage, "db_sync"],
        [*manage, "bootstrap", *password, *points],
    ]


def _nova(layout: Layout) -> list[list[str]]:
    manage = [layout.program("nova-manage"), "--config-file", str(layout.etc / "nova.conf")]
    cell0 = CELL_DATABASE.format(schema="nova_cell0")
    cell1 = CELL_DATABASE.format(schema="nova_cell1")
    return [
        [*manage, "api_db", "sync"],
        [*manage, "cell_v2", "map_cell0", "--database_connection", cell0],
        [*manage, "db", "sync"],
        [
            *(*manage, "cell_v2", "create_cell", "--name", "cell1"),
            *("--database_connection", cell1, "--transport-url", CELL_TRANSPORT),
        ],
    ]


def _neutron(layout: Layout) -> list[list[str]]:
    configuration = [
        word
        for name in ("neutron.conf", "ml2_conf.ini")
        for word in ("--config-file", str(layout.etc / name))
    ]
    return [[layout.program("neutron-db-manage"), *configuration, "upgrade", "heads"]]


def _others(layout: Layout) -> list[list[str]]:
    glance, trove = str(layout.etc / "glance-api.conf"), str(layout.etc / "trove.conf")
    return [
        [layout.program("glance-manage"), "--config-file", glance, "db_sync"],
        [layout.program("placement-manage"), "--config-dir", str(layout.etc), "db", "sync"],
        [layout.program("trove-manage"), "--config-file", trove, "db_sync"],
    ]
