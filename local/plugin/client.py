"""The plugin's client of the local cloud: clouds.yaml, a token, and the API below /local."""

import json
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from local.errors import CloudRequestFailed

VARIABLE = "OS_CLIENT_CONFIG_FILE"
LOCAL = "local"
UNAUTHORIZED, NOT_FOUND = 401, 404


def check_cloud(cloud: object) -> str | None:
    """Return why the plugin does not serve this entry of clouds.yaml, None if it does."""
    if cloud == LOCAL:
        return None
    named = f"the cloud '{cloud}'" if cloud else "a provider without a cloud's name"
    return (
        f"This is the local cloud's stand-in for the provider openstack, which does not serve "
        f"{named}: use the cloud '{LOCAL}', or a PULUMI_HOME with the real provider."
    )


class Client:
    """Sends requests to the daemon; logs in before the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token = ""
        self._base = ""
        # Requests to loopback must not go through the user's proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def create(self, token: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create a resource of the Pulumi type `token`; returns its id and outputs."""
        created = self._resource("POST", token, "", {"inputs": inputs})
        return str(created["id"]), dict(created["outputs"])

    def read(self, token: str, identifier: str) -> dict[str, Any] | None:
        """Return a resource's inputs and outputs, None if it is gone."""
        try:
            return dict(self._resource("GET", token, identifier, None))
        except CloudRequestFailed as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def update(self, token: str, identifier: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Change a resource in place; returns its outputs."""
        return dict(self._resource("PUT", token, identifier, {"inputs": inputs})["outputs"])

    def delete(self, token: str, identifier: str) -> None:
        """Delete a resource, which may be gone."""
        try:
            self._resource("DELETE", token, identifier, None)
        except CloudRequestFailed as error:
            if error.status != NOT_FOUND:
                raise

    def _resource(self, method: str, token: str, identifier: str, body: object) -> Any:
        with self._lock:
            if not self._token:
                self._log_in()
        path = f"/local/resources/{quote(token, safe='')}"
        if identifier:
            path += f"/{quote(identifier, safe='')}"
        return self._request(method, self._base + path, body)[0]

    def _log_in(self) -> None:
        auth, url = _credentials()
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc}"
        headers = self._request("POST", f"{url.rstrip('/')}/auth/tokens", {"auth": auth})[1]
        self._token = headers["X-Subject-Token"]

    def _request(self, method: str, url: str, body: object) -> tuple[Any, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Auth-Token": self._token}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=300) as reply:
                text = reply.read()
                return (json.loads(text) if text else None), reply.headers
        except urllib.error.HTTPError as error:
            raise CloudRequestFailed(_message(error.read()), error.code) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise CloudRequestFailed(
                f"The local cloud does not answer ({reason}): start it."
            ) from None


def _credentials() -> tuple[dict[str, Any], str]:
    """The `auth` of a token request, and Keystone's address, from clouds.yaml."""
    name = os.environ.get(VARIABLE, "")
    try:
        clouds = yaml.safe_load(Path(name).read_text(encoding="utf-8"))["clouds"]
        auth = clouds[LOCAL]["auth"]
        if "application_credential_id" in auth:
            proof = {
                "id": auth["application_credential_id"],
                "secret": auth["application_credential_secret"],
            }
            method = "application_credential"
        else:
            proof = {"user": {"name": auth["username"], "password": auth["password"]}}
            method = "password"
        return {"identity": {"methods": [method], method: proof}}, str(auth["auth_url"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        raise CloudRequestFailed(
            f"There is no cloud '{LOCAL}' in the file that {VARIABLE} names ('{name}'): start the "
            "local cloud and set the variable to its clouds.yaml."
        ) from None


def _message(text: bytes) -> str:
    try:
        fault = next(iter(json.loads(text).values()))
        return str(fault["message"])
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return text.decode(errors="replace") or "The local cloud answered with an error."
