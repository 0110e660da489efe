"""/etc/pipeline/worker.toml: the settings of the worker on a machine."""

import json
from collections.abc import Mapping
from typing import Any

from infra.settings.models import Database, Settings
from infra.settings.pipelines import readers
from infra.user_data.archive import Archive
from infra.user_data.document import TLS_FOLDER

ROOT_CERT, CLIENT_CERT, CLIENT_KEY = "root.crt", "client.crt", "client.key"


def worker_toml(
    settings: Settings,
    *,
    endpoint: str,
    shared: Mapping[str, str],
    buckets: Mapping[str, Mapping[str, str]],
    archive: Archive,
    host: str,
    port: int,
    admin: str,
    user: str,
) -> str:
    """Return the file's text.

    Args:
        settings: The stack's.
        endpoint: The object store's.
        shared: Role -> name of the buckets that all pipelines share.
        buckets: Pipeline -> role -> name of its buckets.
        archive: The worker's package.
        host: The database's.
        port: The database's.
        admin: The user that owns the database.
        user: The worker's user.

    Returns:
        TOML; parameters of pipelines in it may be secret.
    """
    present = certificates(settings.database)
    top = {
        "stack": settings.prefix,
        "machine": settings.names.machine,
        "grace_seconds": settings.grace,
    }
    store = {"endpoint": endpoint, "region": settings.store.region, **shared}
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
        "package": {"key": archive.key, "sha256": archive.sha256},
    }
    for name, pipeline in settings.pipelines.items():
        tables[f"pipelines.{name}"] = {
            "transform": pipeline.transform,
            "parameters": json.dumps(pipeline.parameters, sort_keys=True),
            **buckets[name],
            "output_key": pipeline.output_key,
            "keep_inputs": pipeline.keep_inputs,
            "ignore": pipeline.ignore,
            "sources": pipeline.sources,
            "readers": readers(name, settings.pipelines),
        }
        # Nothing of the flavor's: another flavor resizes the VM, other user-data replaces it.
        tables[f"pipelines.{name}.limits"] = pipeline.limits.model_dump(exclude_none=True)
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
    # A JSON string is a TOML basic string except for DEL.
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in table.items()}
    return [f"{key} = {text}".replace("\x7f", "\\u007f") for key, text in texts.items()]
