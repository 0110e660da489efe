"""Reading a stack's settings: every bad value is named, all of them at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config, get_config_env, is_config_secret
from pydantic import ValidationError

from clients import clouds_yaml
from infra.errors import InvalidSettings
from infra.settings import interfaces, pipelines, structured
from infra.settings.declared import FLAT, defaults, flat_settings, unknown
from infra.settings.interfaces import Interfaces
from infra.settings.models import Settings
from infra.settings.rules import violations


def load(environment: Mapping[str, str]) -> Settings:
    """Return the running stack's settings; InvalidSettings has a sentence for each fault."""
    project = pulumi.get_project()
    values = {}
    for name, default in defaults().items():
        value = get_config(f"{project}:{name}")
        values[name] = default if value is None else str(value)
    keys = sorted({*CONFIG.get(), *get_config_env()})
    secrets = {key.partition(":")[2]: is_config_secret(key) for key in keys}
    named = named_secrets(values["pipelines"])
    known = {*values, *named}
    faults = [sentence for key in keys if (sentence := unknown(key, known, project))]
    flat = {name: str(get_config(f"{project}:{name}")) for name in FLAT if name in secrets}
    faults += [sentence for sentence in [flat_settings(flat, project)] if sentence]
    faults += clouds_yaml.harmful_variables(environment)
    settings = parse(values, f"{project}-{pulumi.get_stack()}", faults, secrets)
    texts = {name: str(get_config(f"{project}:{name}")) for name in sorted(named)}
    return settings.model_copy(update={"secrets": texts})


def parse(
    values: Mapping[str, str],
    prefix: str,
    faults: Sequence[str] = (),
    secrets: Mapping[str, bool] | None = None,
) -> Settings:
    """Return settings from all texts, as the engine hands them over; InvalidSettings for faults."""
    # `secrets` tells which settings of the stack are secret; None: not known here.
    sentences = list(faults)
    found: dict[str, Any] = {}
    try:
        found = pipelines.read(structured.parse(values["pipelines"]), secrets)
    except InvalidSettings as error:
        sentences += error.sentences
    ways_in = Interfaces()
    try:
        ways_in = interfaces.read(values, found)
    except InvalidSettings as error:
        sentences += error.sentences
    sections = ("compute", "database_cloud", "store", "database", "machine")
    parts: dict[str, Any] = {
        **values,
        **dict.fromkeys(sections, values),
        "prefix": prefix,
        "pipelines": found,
        "interfaces": ways_in,
        "existing_database": values if values["database"].strip() == "existing" else None,
    }
    settings = None
    try:
        settings = Settings.model_validate(parts)
    except ValidationError as error:
        sentences += [_sentence(fault) for fault in error.errors(include_url=False)]
    sentences += violations(values, found)
    if sentences or settings is None:
        raise InvalidSettings(list(dict.fromkeys(sentences)))
    return settings


def named_secrets(text: str) -> set[str]:
    """Return the settings that `pipelines` names as secrets: no others may have any name."""
    value = structured.parse(text)
    entries = value.values() if isinstance(value, dict) else ()
    lists = [each.get("secrets") for each in entries if isinstance(each, dict)]
    return {str(name) for names in lists if isinstance(names, list) for name in names}


def _sentence(fault: Mapping[str, Any]) -> str:
    """A fault as one sentence that begins with the setting's path, for example operatorCidrs[1]."""
    *_section, name = [part for part in fault["loc"] if isinstance(part, str)]
    path = name + "".join(f"[{part}]" for part in fault["loc"] if isinstance(part, int))
    reason = fault.get("ctx", {}).get("error") or f"is not valid: {fault['msg']}."
    return f"{path} {reason}"
