"""What Keystone allows a login to do: tests that a suite runs against each of its clouds.

As in `tests/trove`, the stand-in and the real one must answer alike.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import credential
from clients.connection import cloud_errors, connect
from clients.errors import CloudError
from tests.eventually import eventually

#: Seconds between two looks.
PAUSE = 0.3
REFUSED = "refuses the credentials in clouds.yaml"
NO_KEYS = r"lets no application credential make .* login by password .* s3AccessKey"
#: Makes an application credential and puts it into clouds.yaml, as the entry whose name it returns.
Make = Callable[..., str]


@dataclass(frozen=True)
class Account:
    """A login by password, and a service that it may ask.

    `rule` is the path that an access rule names to allow `allowed`, a path below the service;
    `other` is a path that it does not.
    """

    entry: str
    region: str
    clouds_yaml: Path
    service: str
    rule: str
    allowed: str
    other: str

    def ask(self, entry: str, path: str) -> int:
        """The status with which the service answers a GET."""
        with connect(entry, self.region) as cloud:
            adapter = getattr(cloud, self.service)
            return int(adapter.get(path, raise_exc=False).status_code)


class CredentialRules:
    """The suite gives the fixture `account`, whose clouds.yaml the environment names."""

    #: Whether Keystone lets unrestricted credentials make EC2 credentials, as before 30.0.
    opens_keys = True

    @pytest.fixture
    def make(self, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
        def make(lifetime: float | None = None, **asked: Any) -> str:
            with connect(account.entry) as cloud:
                url = f"{_identity(cloud)}/users/{cloud.current_user_id}/application_credentials"
                # Named, since Keystone 30, asked first after its start, takes a role too many.
                asked = {"name": tmp_path.name, "roles": [{"name": "member"}], **asked}
                if (
                    lifetime is not None
                ):  # in seconds from now: Keystone refuses a time that has passed
                    ends = datetime.now(UTC) + timedelta(seconds=lifetime)
                    asked["expires_at"] = ends.strftime("%Y-%m-%dT%H:%M:%S.%f")
                answer = cloud.session.post(url, json={"application_credential": asked})
            made = answer.json()["application_credential"]
            content = json.loads(account.clouds_yaml.read_text())
            content["clouds"]["made"] = _by_credential(content["clouds"][account.entry], made)
            path = tmp_path / "clouds.yaml"
            path.write_text(json.dumps(content))
            monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
            return "made"

        return make

    def test_password_makes_keys(self, account: Account) -> None:
        with connect(account.entry) as cloud:
            credential.check(cloud, makes_keys=True)
            assert _make_key(cloud) == 201

    def test_unrestricted_credential_makes_keys_or_is_refused_first(
        self, account: Account, make: Make
    ) -> None:
        with connect(make(unrestricted=True)) as cloud:
            credential.check(cloud, makes_keys=False)
            if self.opens_keys:
                credential.check(cloud, makes_keys=True)
                assert _make_key(cloud) == 201
            else:
                with pytest.raises(CloudError, match=NO_KEYS):
                    credential.check(cloud, makes_keys=True)
                assert _make_key(cloud) == 403
        assert account.ask("made", account.other) == 200

    def test_restricted_credential_is_refused_first(self, account: Account, make: Make) -> None:
        with connect(make()) as cloud:
            credential.check(cloud, makes_keys=False)
            expected = r"is restricted.*`--unrestricted`" if self.opens_keys else NO_KEYS
            with pytest.raises(CloudError, match=expected):
                credential.check(cloud, makes_keys=True)
            assert _make_key(cloud) == 403
        assert account.ask("made", account.other) == 200

    def test_access_rules_are_refused_first(self, account: Account, make: Make) -> None:
        rule = {"service": account.service, "method": "GET", "path": account.rule}
        entry = make(unrestricted=True, access_rules=[rule])
        with connect(entry) as cloud, pytest.raises(CloudError, match=r"has access rules"):
            credential.check(cloud, makes_keys=True)
        assert account.ask("made", account.allowed) == 200
        assert account.ask("made", account.other) == 401

    def test_expired_credential_is_reported(self, make: Make) -> None:
        entry = make(lifetime=10)

        def message() -> str:
            try:
                with connect(entry) as cloud, cloud_errors(entry):
                    credential.check(cloud, makes_keys=False)
            except CloudError as error:
                return str(error)
            return ""

        assert REFUSED in eventually(message, every=PAUSE)

    def test_expired_token_is_renewed(self, account: Account) -> None:
        with connect(account.entry, account.region) as cloud:
            adapter = getattr(cloud, account.service)
            assert adapter.get(account.allowed).status_code == 200
            token = cloud.session.get_token()
            url = f"{_identity(cloud)}/auth/tokens"
            ended = cloud.session.delete(url, headers={"X-Subject-Token": token})
            assert ended.status_code == 204

            def renewed() -> bool:
                assert adapter.get(account.allowed).status_code == 200
                return bool(cloud.session.get_token() != token)

            eventually(renewed, every=PAUSE, what="services remember a token for a while")

    def test_variables_of_another_cloud_change_nothing(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after sourcing the other cloud's rc file."""
        for name in ("AUTH_URL", "USERNAME", "PASSWORD", "PROJECT_NAME", "REGION_NAME", "TOKEN"):
            monkeypatch.setenv(f"OS_{name}", "http://127.0.0.1:9/other")
        monkeypatch.setenv("OS_AUTH_TYPE", "v3token")
        assert account.ask(account.entry, account.allowed) == 200


def _identity(cloud: Any) -> str:
    """Keystone's own address, without which a session asks the catalog for one."""
    return str(cloud.config.auth["auth_url"])


def _make_key(cloud: Any) -> int:
    """Ask for EC2 credentials; the answer's status."""
    user, project = cloud.current_user_id, cloud.current_project_id
    url = f"{_identity(cloud)}/users/{user}/credentials/OS-EC2"
    answer = cloud.session.post(url, json={"tenant_id": project}, raise_exc=False)
    return int(answer.status_code)


def _by_credential(entry: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    auth = {
        "auth_url": entry["auth"]["auth_url"],
        "application_credential_id": made["id"],
        "application_credential_secret": made["secret"],
    }
    return {**entry, "auth_type": "v3applicationcredential", "auth": auth}
