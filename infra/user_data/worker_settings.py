"""/etc/pipeline/worker.toml: the settings of the worker on a machine."""

import json
from collections.abc import Mapping
from typing import Any

from infra.settings.models import Settings
from infra.settings.pipelines import readers
from infra.user_data.archive import Archive
from infra.user_data.document import ROOT_CERTIFICATE


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
        "sslrootcert": ROOT_CERTIFICATE if settings.database.root_cert else "",
        "client_certificate": settings.database.has_client_certificates,
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
            "output_adopted": settings.store.adopts(buckets[name]["output"]),
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


def _lines(table: Mapping[str, Any]) -> list[str]:
    # A JSON string is a TOML basic string except for DEL.
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in table.items()}
    return [f"{key} = {text}".replace("\x7f", "\\u007f") for key, text in texts.items()]
