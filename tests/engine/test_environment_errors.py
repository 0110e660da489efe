"""Errors of clouds.yaml, of a credential, and of this computer."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.engine.find import pulumi_root
from tests.engine.cloud_operator import CHECK, CloudOperator

pytestmark = pytest.mark.usefixtures("as_it_was")


EntryChange = Callable[[dict[str, Any]], None]


def change_entry(operator: CloudOperator, change: EntryChange) -> str:
    """Change the entry `local` of clouds.yaml; return the file's text before."""
    before = operator.clouds_yaml.read_text()
    content = yaml.safe_load(before)
    change(content["clouds"]["local"])
    operator.clouds_yaml.write_text(yaml.safe_dump(content))
    return before


def closed_port(entry: dict[str, Any]) -> None:
    entry["auth"]["auth_url"] = "http://127.0.0.1:9/identity/v3"


def wrong_password(entry: dict[str, Any]) -> None:
    entry["auth"]["password"] = "guessed"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (wrong_password, ("Cloud 'local' refuses the credentials", "renew them")),
        (closed_port, ("Cloud 'local' cannot be queried", "127.0.0.1")),
    ],
)
def test_unusable_entry_of_clouds_yaml(
    change: EntryChange, expected: tuple[str, ...], operator: CloudOperator
) -> None:
    before = change_entry(operator, change)
    operator.expect_error(*expected)
    operator.clouds_yaml.write_text(before)
    operator.checkout.pipeline(*CHECK)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ("'mine'", "restricted", "unrestricted one")),
        (
            {"unrestricted": True, "access_rules": [{"method": "GET", "path": "/v2.1/servers"}]},
            ("'mine'", "access rules", "without access rules"),
        ),
        (
            {"unrestricted": True, "expires_at": "2020-01-01T00:00:00"},
            ("refuses the credentials", "expired", "renew them"),
        ),
    ],
    ids=["restricted", "access rules", "expired"],
)
def test_unusable_application_credential(
    asked: dict[str, Any], expected: tuple[str, ...], operator: CloudOperator
) -> None:
    log_in = application_credential(operator, **asked)
    before = change_entry(operator, log_in)
    operator.expect_error(*expected)
    operator.clouds_yaml.write_text(before)
    change_entry(operator, application_credential(operator, unrestricted=True))
    operator.checkout.pipeline(*CHECK)
    operator.clouds_yaml.write_text(before)


def application_credential(operator: CloudOperator, **asked: Any) -> EntryChange:
    """Create one; return a function that puts it into an entry of clouds.yaml."""
    cloud = operator.openstack()
    path = f"/users/{cloud.session.get_user_id()}/application_credentials"
    body = {"application_credential": {"name": "mine", **asked}}
    made = cloud.identity.post(path, json=body).json()["application_credential"]

    def log_in(entry: dict[str, Any]) -> None:
        entry["auth_type"] = "v3applicationcredential"
        entry["auth"] = {
            "auth_url": entry["auth"]["auth_url"],
            "application_credential_id": made["id"],
            "application_credential_secret": made["secret"],
        }

    return log_in


def test_malformed_clouds_yaml(operator: CloudOperator) -> None:
    text = operator.clouds_yaml.read_text()
    operator.clouds_yaml.write_text(text.replace("}", "]", 1))
    operator.expect_error(str(operator.clouds_yaml), "line ", "not valid YAML", "correct it")
    operator.expect_error(str(operator.clouds_yaml), "line ", words=("init", "new"))


def test_missing_clouds_yaml(operator: CloudOperator) -> None:
    kept = operator.clouds_yaml.rename(operator.clouds_yaml.with_suffix(".kept"))
    operator.expect_error("OS_CLIENT_CONFIG_FILE names", "not a file", "name a clouds.yaml")
    named = operator.checkout.environment.pop("OS_CLIENT_CONFIG_FILE")
    operator.expect_error(
        "No clouds.yaml", "~/.config/openstack/clouds.yaml", words=("init", "new")
    )
    operator.checkout.environment["OS_CLIENT_CONFIG_FILE"] = named
    kept.rename(operator.clouds_yaml)
    operator.checkout.pipeline(*CHECK)


def test_variables_of_another_cloud_are_ignored(operator: CloudOperator) -> None:
    operator.checkout.environment["OS_REGION_NAME"] = "elsewhere"
    operator.checkout.pipeline(*CHECK)


def test_old_pulumi_on_path_is_not_used(operator: CloudOperator) -> None:
    """A CLI that is new enough is found in the cache, as on a second run."""
    root = pulumi_root()
    cache, old = operator.base / "cache" / "image-pipeline", operator.base / "old"
    for link, target in ((cache / root.name, root), (old / "git", Path(shutil.which("git") or ""))):
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    (old / "pulumi").write_text("#!/bin/sh\necho v3.100.0\n")
    (old / "pulumi").chmod(0o755)
    environment = operator.checkout.environment
    path = [each for each in environment["PATH"].split(os.pathsep) if each != str(root / "bin")]
    environment["PATH"] = os.pathsep.join([str(old), *path])
    environment["XDG_CACHE_HOME"] = str(cache.parent)
    printed = operator.checkout.pipeline("strays", "--stack", "lab").stderr
    assert "pulumi on PATH is v3.100.0, older than v3.259.0: using our own." in printed
