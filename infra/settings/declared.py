"""What Pulumi.yaml declares: the names of all settings, and their defaults."""

import difflib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from infra.names import FIRST_PIPELINE, PROJECT

#: Pulumi's own namespace of configuration, for example `pulumi:tags`.
ENGINE_NAMESPACE = "pulumi"
#: Settings of older versions, which are keys of a pipeline now.
FLAT = ("transform", "inputBucket", "outputBucket")
#: Settings of older versions that `rotation` replaced.
ROUNDS = ("databasePasswordRound", "s3KeyRound")
PROJECT_FILE = Path(__file__).resolve().parents[2] / "Pulumi.yaml"


def defaults() -> dict[str, str]:
    """Return setting -> default, as the engine hands values over: structured ones as JSON."""
    project = yaml.safe_load(PROJECT_FILE.read_text(encoding="utf-8"))
    return {name: as_text(entry["default"]) for name, entry in project["config"].items()}


def as_text(value: object) -> str:
    """Return a value of YAML as the engine hands it over."""
    return value if isinstance(value, str) else json.dumps(value)


def flat_settings(values: Mapping[str, str], project: str = PROJECT) -> str:
    """Return a sentence about settings of older versions with the line to write instead, or ""."""
    found = {name: values[name] for name in FLAT if name in values}
    if not found:
        return ""
    keys = {"transform": "negate", **{name: text for name, text in found.items() if text}}
    entry = yaml.safe_dump(
        {FIRST_PIPELINE: keys}, default_flow_style=True, sort_keys=False, width=999
    )
    return (
        f"{', '.join(found)}: keys of a pipeline now. Remove {'it' if len(found) == 1 else 'them'}"
        f" and write `{project}:pipelines: {entry.strip()}`."
    )


def unknown(key: str, known: Collection[str], project: str = PROJECT) -> str:
    """Return a sentence about a key of the configuration that is not a setting, else ""."""
    namespace, _, name = key.rpartition(":")
    if namespace == ENGINE_NAMESPACE:
        return ""
    if name in FLAT:
        return ""  # `flat_settings` says what to write instead
    if namespace not in ("", project):
        remedy = f"write {project}:{name}" if name in known else f"only {project}: is read"
        return f"{key} is not a setting of this program: {remedy}, or remove it."
    if name in known:
        return ""
    if name in ROUNDS:
        return f"{name} was replaced by rotation, which renews all secrets: set rotation instead."
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else "remove it; Pulumi.yaml lists all settings."
    return f"{name} is not a setting of this program: {remedy}"
