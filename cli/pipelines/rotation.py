"""Rounds of the secrets that the program makes, as the setting `rotation` has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.pipelines.settings_file import SettingsFile
from cli.stacks.target import command_line
from infra.settings import structured
from infra.settings.declared import as_text
from infra.settings.interfaces import Interfaces, Rotation

_SETTING = "rotation"


def raise_round(stack: str, key: str, camera: str = "") -> Path:
    """Raise one round in a stack's settings, of which nothing else changes.

    Args:
        stack: The stack's name.
        key: Of the setting: keys, passwords, uploadToken or cameras.
        camera: Its name, with the key `cameras`.

    Returns:
        The file, which has been written.

    Raises:
        CommandError: The file cannot be changed, or the program does not make this secret.
        InvalidSettings: The setting is wrong already.
    """
    file = SettingsFile(stack)
    given = {name: file.values[name] for name in (_SETTING, "mqtt") if name in file.values}
    wanted = structured.read(Interfaces, given)
    if refusal := _refusal(file.values, key, command_line("up", stack)):
        raise CommandError(refusal)
    if camera and camera not in wanted.cameras:
        known = f"it has {', '.join(wanted.cameras)}" if wanted.cameras else "it has none"
        raise CommandError(
            f"The setting mqtt has no camera '{camera}' ({known}): correct the name."
        )
    file.write({_SETTING: _raised(given.get(_SETTING), wanted.rotation, key, camera)})
    return file.path


def _raised(value: object, rounds: Rotation, key: str, camera: str) -> dict[str, Any]:
    """Return the setting as a map with one number raised; other keys as the file has them."""
    present = rounds.model_dump(by_alias=True)
    if isinstance(value, Mapping):
        kept = dict(value)
    else:  # an integer is the round of both
        kept = {} if value is None else {"keys": rounds.keys, "passwords": rounds.passwords}
    if camera:
        return {**kept, key: {**rounds.cameras, camera: rounds.cameras.get(camera, 1) + 1}}
    return {**kept, key: present[key] + 1}


def _refusal(settings: Mapping[str, Any], key: str, up: str) -> str:
    """Return why the program does not make a secret, or ""."""
    makes_certificates = _is_true(settings.get("databaseClientCertificates"))
    if key == "keys" and settings.get("s3AccessKey"):
        return (
            "s3AccessKey is set, so the keys are yours: make new ones at the store, set s3AccessKey"
            f" and s3SecretKey, and run '{up}'."
        )
    if key == "passwords" and settings.get("database") == "existing" and not makes_certificates:
        return (
            "database is existing, so its passwords are yours: change them there, set"
            f" databaseAdminPassword and databaseUserPassword, and run '{up}'."
        )
    if key == "uploadToken" and not _is_true(settings.get("web", True)):
        return "web is false, so there is no upload token: set web to true first."
    return ""


def _is_true(value: object) -> bool:
    return as_text(value).strip() == "true"
