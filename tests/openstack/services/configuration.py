"""The services' configuration files, rendered from `etc/` for one folder.

In a template `$name` is one of `_values`; a file ending in `.part` is put into others.
"""

from pathlib import Path
from string import Template

from local import private_file
from tests.openstack.services.databases import SCHEMAS
from tests.openstack.services.layout import HOST, Layout

TEMPLATES = Path(__file__).parent / "etc"
REGION, DATABASE_REGION = "regionOne", "pukki_dbaas"
#: Service users, all of them in the first cloud, Trove's in both.
USERS = ("glance", "neutron", "nova", "placement", "trove")


def write(layout: Layout) -> None:
    """Render every file into the folder's `etc` (0600: there are passwords in them)."""
    values = _values(layout)
    for template in TEMPLATES.glob("*.*"):
        if template.suffix != ".part":
            private_file.write(layout.etc / template.name, _fill(template.name, values))
    paste = (layout.environment / "etc/trove/api-paste.ini").read_text(encoding="utf-8")
    filter_ = _fill("trove-network.part", values)
    private_file.write(layout.etc / "trove-api-paste.ini", _with_network(paste, filter_))
    # Nova looks for its own beside its configuration.
    paste = (layout.environment / "etc/nova/api-paste.ini").read_text(encoding="utf-8")
    private_file.write(layout.etc / "api-paste.ini", paste)


def _values(layout: Layout) -> dict[str, str]:
    values = {
        "environment": str(layout.environment),
        "etc": str(layout.etc),
        "run": str(layout.run),
        "state": str(layout.state),
        "region": REGION,
        "auth_url": layout.auth_url,
        "database_auth_url": layout.database_auth_url,
        "password": layout.passwords.service,
        "database_network": layout.database_network,
        "rabbit": f"rabbit://guest:guest@{HOST}:{layout.ports.rabbit}/",
    }
    for name, port in vars(layout.ports).items():
        values[f"port_{name}"] = str(port)
    for schema in SCHEMAS:
        values[f"database_{schema}"] = (
            f"mysql+pymysql://root@localhost/{schema}?unix_socket={layout.socket}&charset=utf8mb4"
        )
    for user in USERS:
        values[f"login_{user}"] = _fill("login.part", {**values, "user": user})
    of_database = {
        **values,
        "region": DATABASE_REGION,
        "auth_url": layout.database_auth_url,
        "user": "trove",
    }
    values["validation"] = _fill("validation.part", values)
    values["validation_database"] = _fill("validation.part", of_database)
    values["login_trove_database"] = _fill("login.part", of_database)
    return values


def _fill(name: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)


def _with_network(paste: str, filter_: str) -> str:
    """Trove's own file with one more filter, next to the application."""
    return paste.replace(" extensions troveapp", " network extensions troveapp", 1) + filter_
