"""Programs that this machine must have so that OpenStack can run on it."""

import shutil
import sys
from pathlib import Path

#: Programs and the Debian package that has each.
PROGRAMS = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "rabbitmq-server": "rabbitmq-server",
    "epmd": "erlang-base",
}
#: Debian 12's, with which the pins were tried.
PYTHON = (3, 11)
#: Where Debian keeps servers, which is not on every user's PATH.
SERVER_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str:
    """Return a sentence on what is missing, "" if nothing is."""
    if sys.platform != "linux":
        return f"Real OpenStack runs on Linux only, this is {sys.platform}: use a Debian machine."
    if sys.version_info[:2] != PYTHON:
        wanted, ours = (".".join(map(str, each)) for each in (PYTHON, sys.version_info[:2]))
        return (
            f"Real OpenStack's pinned packages need Python {wanted}, this is {ours}: use {wanted}."
        )
    packages = {package for name, package in PROGRAMS.items() if not _found(name)}
    if packages:
        return (
            "Real OpenStack needs MariaDB and RabbitMQ as Debian has them: as root, "
            f"'apt-get install --no-install-recommends {' '.join(sorted(packages))}'."
        )
    return ""


def program(name: str) -> str:
    """Return the path of one of PROGRAMS; `missing` reports absent ones first."""
    found = _found(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SERVER_PATH)


def rabbitmq_server() -> str:
    """The server's own script: Debian's wrapper would change to the user `rabbitmq`."""
    scripts = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    return str(scripts[-1]) if scripts else program("rabbitmq-server")
