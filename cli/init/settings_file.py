"""Pulumi.STACK.yaml with comments, so that its owner can read and edit it."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from cli.init import stack_file
from cli.pipelines import yaml_document
from infra.names import PROJECT

_HEAD = """\
# The stack '{stack}', written by './pipeline init'. Change what you like, then
# './pipeline up --stack {stack}'. Pulumi.yaml describes every setting. No credential belongs in
# here: those are in clouds.yaml. The line 'encryptionsalt' that Pulumi adds belongs to the stack's
# passphrase: keep it.
"""
#: Heading, then the settings below it in this order.
_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Entries of clouds.yaml, and their regions.",
        ("computeCloud", "computeRegion", "databaseCloud", "databaseRegion"),
    ),
    (
        "The machine. Only operatorCidrs reach its port 22: your address, as the cloud sees it.",
        (
            *("machines", "image", "flavor", "network", "externalNetwork"),
            *("operatorCidrs", "sshPublicKeyFile", "sshUser"),
        ),
    ),
    (
        "The object store. Names of buckets are shared by all its users.",
        (
            *("objectStore", "objectStoreEndpoint", "objectStoreRegion", "s3AccessKey"),
            *("s3SecretKey", "quarantineBucket", "adoptBuckets"),
        ),
    ),
    (
        "The database. The machine's address is always admitted; the volume (GiB) can only grow.",
        (
            *("database", "databaseHost", "databasePort", "databaseAdmin", "databaseUser"),
            *("databaseAdminPassword", "databaseUserPassword"),
            *("databaseName", "databaseVersion", "databaseFlavor", "databaseVolumeSize"),
            *("databaseCidrs", "databaseSslMode", "databaseSslRootCert"),
            "databaseClientCertificates",
        ),
    ),
    (
        "The pipelines ('./pipeline pipelines' edits them), and the pause between two passes.",
        ("pipelines", "deletePipelineData", "timerInterval", "graceSeconds"),
    ),
    (
        "The page, what is open to others than operators, and the rounds of the secrets.",
        ("web", "upload", "mqtt", "rotation"),
    ),
    ("Database and buckets are not removed by a plain destroy.", ("protectData",)),
)


def text(stack: str, settings: Mapping[str, Any]) -> str:
    """Return the file's text; settings without a heading come last."""
    left = dict(settings)
    lines = [_HEAD.format(stack=stack) + "config:"]
    for heading, names in _PARTS:
        present = [name for name in names if name in left]
        if present:
            lines += ["", f"  # {heading}"]
            lines += [_line(name, left.pop(name)) for name in present]
    lines += [_line(name, value) for name, value in left.items()]
    return "\n".join(lines) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Return the settings in a stack's file by name without the project; a secret is a mapping.

    Raises:
        CommandError: It is malformed; one sentence for each fault, with line and column.
    """
    return stack_file.read(path)


def salt(path: Path) -> str:
    """Return the lines that tie an existing file's secrets to the passphrase, "" without any."""
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(
        line for line in lines if line.startswith(("encryptionsalt:", "secretsprovider:"))
    )


def _line(name: str, value: Any) -> str:
    key = f"{PROJECT}:{name}"
    if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
        return indent(yaml_document.block({key: value}).rstrip(), "  ")
    # JSON is YAML, and quotes what must be quoted.
    return f"  {key}: {json.dumps(value, ensure_ascii=False)}"
