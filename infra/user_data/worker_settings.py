"""/etc/pipeline/worker.toml: the settings of the worker on a machine."""

import json
from collections.abc import Mapping
from typing import Any

from clients.archive import Archive
from infra.settings.interfaces import Interfaces
from infra.settings.models import Settings
from infra.settings.pipelines import Pipeline, readers
from infra.user_data.document import ROOT_CERTIFICATE
from worker.transforms import describe
from worker.transforms.output_keys import GATHERED

#: Interfaces of machines without a floating IP, which cannot be reached from outside.
_CLOSED = Interfaces.model_validate({"web": "false"})
#: Keys of a pipeline that the worker reads under the same names.
_KEYS = {
    *("transform", "keep_inputs", "ignore", "sources", "gather"),
    *("apt", "network", "allow", "secrets"),
}


def worker_toml(
    settings: Settings,
    number: int,
    *,
    store: Mapping[str, str],
    database: Mapping[str, str | int],
    buckets: Mapping[str, Mapping[str, str]],
    worker: Archive,
    folders: Mapping[str, Archive],
) -> str:
    """Return the file's text.

    Args:
        settings: The stack's.
        number: The machine's number; only the first machine has the interfaces.
        store: The object store's endpoint, and role -> name of the buckets that pipelines share.
        database: The database's host and port, its owner (admin) and the worker's user.
        buckets: Pipeline -> role -> name of its buckets.
        worker: The worker's package.
        folders: Pipeline -> its folder.

    Returns:
        TOML; parameters of pipelines in it may be secret.
    """
    interfaces = settings.interfaces if number == 1 else _CLOSED
    top = {
        "stack": settings.prefix,
        "machine": settings.names.machine(number),
        "grace_seconds": settings.grace,
    }
    more: dict[str, str | bool] = {
        "name": settings.database.name,
        "sslmode": settings.database.sslmode,
        "sslrootcert": ROOT_CERTIFICATE if settings.database.root_cert else "",
        "client_certificate": settings.database.has_client_certificates,
    }
    tables: dict[str, Mapping[str, Any]] = {
        "store": {**store, "region": settings.store.region},
        "database": {**database, **more},
        "package": _package(worker),
        "web": _web(interfaces),
        **{f"cameras.{name}": vars(each) for name, each in interfaces.cameras.items()},
    }
    for name, pipeline in settings.pipelines.items():
        tables[f"pipelines.{name}"] = {
            **pipeline.model_dump(include=_KEYS),
            "parameters": json.dumps(pipeline.parameters, sort_keys=True),
            "output_key": pipeline.output_key or (GATHERED if pipeline.gather else ""),
            **buckets[name],
            "output_adopted": settings.store.adopts(buckets[name]["output"]),
            "readers": readers(name, settings.pipelines),
        }
        if name in folders:
            tables[f"pipelines.{name}.folder"] = _package(folders[name])
        tables[f"pipelines.{name}.limits"] = _limits(pipeline)
    parts = [*_lines(top), ""]
    for name, table in tables.items():
        parts += [f"[{name}]", *_lines(table), ""]
    return "\n".join(parts)


def _web(interfaces: Interfaces) -> dict[str, Any]:
    """Return the page's table; without `upload` the service's own limits apply."""
    upload = interfaces.upload
    return {
        "enabled": interfaces.web,
        "exposed": bool(upload),
        "token_round": interfaces.rotation.upload_token,
        **(upload.model_dump(exclude={"cidrs"}) if upload else {}),
    }


def _package(archive: Archive) -> dict[str, str]:
    return {"key": archive.key, "sha256": archive.sha256}


def _limits(pipeline: Pipeline) -> dict[str, int]:
    # Nothing of the flavor's: another flavor resizes the VM, other user-data replaces it.
    known, limits = describe(pipeline.transform), pipeline.limits.model_dump(exclude_none=True)
    return {name: getattr(known, name) for name in ("memory_mb", "cpu_seconds", "seconds")} | limits


def _lines(table: Mapping[str, Any]) -> list[str]:
    # A JSON string is a TOML basic string except for DEL.
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in table.items()}
    return [f"{key} = {text}".replace("\x7f", "\\u007f") for key, text in texts.items()]
