"""/etc/pipeline/worker.toml: the settings of the worker on a machine."""

import json
from collections.abc import Mapping
from typing import Any

from infra.settings.models import Database, Settings
from infra.user_data.archive import Archive
from infra.user_data.document import TLS_FOLDER

ROOT_CERT, CLIENT_CERT, CLIENT_KEY = "root.crt", "client.crt", "client.key"


def worker_toml(
    settings: Settings,
    *,
    endpoint: str,
    buckets: Mapping[str, str],
    archive: Archive,
    host: str,
    port: int,
    admin: str,
    user: str,
) -> str:
    """Return the file's text. `buckets` is role -> name, `admin` owns the database."""
    present = certificates(settings.database)
    top = {
        "pipeline": settings.prefix,
        "transform": settings.worker.transform,
        "machine": settings.names.machine,
    }
    store = {"endpoint": endpoint, "region": settings.store.region, **buckets}
    database: dict[str, str | int] = {
        "host": host,
        "port": port,
        "name": settings.database.name,
        "user": user,
        "admin": admin,
        "sslmode": settings.database.sslmode,
        "sslrootcert": f"{TLS_FOLDER}/{ROOT_CERT}" if ROOT_CERT in present else "",
        "sslcert": f"{TLS_FOLDER}/{CLIENT_CERT}" if CLIENT_CERT in present else "",
        "sslkey": f"{TLS_FOLDER}/{CLIENT_KEY}" if CLIENT_KEY in present else "",
    }
    tables: dict[str, Mapping[str, Any]] = {
        "store": store,
        "database": database,
        "archive": {"key": archive.key, "sha256": archive.sha256},
    }
    parts = [*_lines(top), ""]
    for name, table in tables.items():
        parts += [f"[{name}]", *_lines(table), ""]
    return "\n".join(parts)


def certificates(database: Database) -> dict[str, str]:
    """Return file name -> PEM text of the certificates and keys that are set."""
    found = {
        ROOT_CERT: database.root_cert,
        CLIENT_CERT: database.client_cert,
        CLIENT_KEY: database.client_key,
    }
    return {name: text for name, text in found.items() if text}


def _lines(table: Mapping[str, Any]) -> list[str]:
    # A JSON string is a TOML basic string except for DEL, which no value here can contain.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
