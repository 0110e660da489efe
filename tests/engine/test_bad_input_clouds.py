"""What a person gets where clouds.yaml, a credential, or this computer will not do."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.engine.find import pulumi_root
from tests.engine.refusals import CHECK, refused
from tests.engine.researcher import Researcher

pytestmark = pytest.mark.usefixtures("as_it_was")


Spoil = Callable[[dict[str, Any]], None]


def spoiled(person: Researcher, spoil: Spoil) -> str:
    """Change the entry `local` of clouds.yaml; the file as it was."""
    before = person.clouds_yaml.read_text()
    content = yaml.safe_load(before)
    spoil(content["clouds"]["local"])
    person.clouds_yaml.write_text(yaml.safe_dump(content))
    return before


def closed_port(entry: dict[str, Any]) -> None:
    entry["auth"]["auth_url"] = "http://127.0.0.1:9/identity/v3"


def wrong_password(entry: dict[str, Any]) -> None:
    entry["auth"]["password"] = "guessed"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (wrong_password, ("Cloud 'local' refuses the credentials", "renew them")),
        (closed_port, ("Cloud 'local' cannot be asked", "127.0.0.1")),
    ],
)
def test_a_bad_entry_of_clouds_yaml(
    spoil: Spoil, told: tuple[str, ...], person: Researcher
) -> None:
    before = spoiled(person, spoil)
    refused(person, *told)
    person.clouds_yaml.write_text(before)
    person.checkout.pipeline(*CHECK)


@pytest.mark.parametrize(
    ("asked", "told"),
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
def test_an_application_credential_that_will_not_do(
    asked: dict[str, Any], told: tuple[str, ...], person: Researcher
) -> None:
    log_in = application_credential(person, **asked)
    before = spoiled(person, log_in)
    refused(person, *told)
    person.clouds_yaml.write_text(before)
    spoiled(person, application_credential(person, unrestricted=True))
    person.checkout.pipeline(*CHECK)
    person.clouds_yaml.write_text(before)


def application_credential(person: Researcher, **asked: Any) -> Spoil:
    """Make one; what puts it into an entry of clouds.yaml."""
    cloud = person.openstack()
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


def test_clouds_yaml_that_is_not_yaml(person: Researcher) -> None:
    text = person.clouds_yaml.read_text()
    person.clouds_yaml.write_text(text.replace("}", "]", 1))
    refused(person, str(person.clouds_yaml), "line ", "not valid YAML", "correct it")
    refused(person, str(person.clouds_yaml), "line ", words=("init", "new"))


def test_no_clouds_yaml(person: Researcher) -> None:
    kept = person.clouds_yaml.rename(person.clouds_yaml.with_suffix(".kept"))
    refused(person, "OS_CLIENT_CONFIG_FILE names", "no file", "name a clouds.yaml")
    named = person.checkout.environment.pop("OS_CLIENT_CONFIG_FILE")  # type: ignore[attr-defined]
    refused(person, "No clouds.yaml", "~/.config/openstack/clouds.yaml", words=("init", "new"))
    person.checkout.environment["OS_CLIENT_CONFIG_FILE"] = named  # type: ignore[index]
    kept.rename(person.clouds_yaml)
    person.checkout.pipeline(*CHECK)


def test_variables_of_another_cloud_do_no_harm(person: Researcher) -> None:
    person.checkout.environment["OS_REGION_NAME"] = "elsewhere"  # type: ignore[index]
    person.checkout.pipeline(*CHECK)


def test_an_old_pulumi_is_named_and_left_alone(person: Researcher) -> None:
    """The one that is new enough comes from the cache, as on a second run."""
    root = pulumi_root()
    cache, old = person.base / "cache" / "image-pipeline", person.base / "old"
    for link, target in ((cache / root.name, root), (old / "git", Path(shutil.which("git") or ""))):
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    (old / "pulumi").write_text("#!/bin/sh\necho v3.100.0\n")
    (old / "pulumi").chmod(0o755)
    environment = person.checkout.environment
    path = [each for each in environment["PATH"].split(os.pathsep) if each != str(root / "bin")]
    environment["PATH"] = os.pathsep.join([str(old), *path])  # type: ignore[index]
    environment["XDG_CACHE_HOME"] = str(cache.parent)  # type: ignore[index]
    told = person.checkout.pipeline("strays", "--stack", "lab").stderr
    assert "pulumi on PATH is v3.100.0, older than v3.259.0: using our own." in told
