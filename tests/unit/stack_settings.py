"""Settings of a stack for tests, as the engine hands them over."""

from pathlib import Path

from infra.settings.declared import as_text, defaults

PROJECT = "image-pipeline"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKKqQNwfujZkvsJTmZQ4wkIT8yZm/MCy1WtToz57xqLE test"


def public_key_file(folder: Path) -> Path:
    """A public key's file in `folder`."""
    path = folder / "id_ed25519.pub"
    path.write_text(PUBLIC_KEY + "\n", encoding="utf-8")
    return path


def stack_settings(folder: Path, **overrides: object) -> dict[str, str]:
    """Good settings for the local cloud, with `overrides` as one would write them in YAML."""
    wanted: dict[str, object] = {
        "computeCloud": "local",
        "databaseCloud": "local",
        "operatorCidrs": ["127.0.0.1/32"],
        "sshPublicKeyFile": str(public_key_file(folder)),
        "databaseSslMode": "disable",
        **overrides,
    }
    return {**defaults(), **{name: as_text(value) for name, value in wanted.items()}}
