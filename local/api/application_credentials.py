"""Keystone's application credentials: what a person puts into clouds.yaml.

https://docs.openstack.org/api-ref/identity/v3/#application-credentials. One that is restricted (the
default) may not make further credentials; one with access rules may do only what they name; one
that has expired may do nothing.
"""

import fnmatch
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any

from local.api.cloud import Cloud
from local.api.http import BAD_REQUEST, NOT_FOUND, UNAUTHORIZED, ApiError, Reply, Request, Route
from local.api.records import Record

CREDENTIALS = "application-credentials"
METHOD = "application_credential"


class ApplicationCredentials:
    """Answers below a user of /identity, and knows who logs in with one."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """What this part of Keystone answers."""
        base = "/identity/v3/users/{user}/application_credentials"
        return [
            Route("GET", base, self.index),
            Route("POST", base, self.create),
            Route("GET", f"{base}/{{id}}", self.show),
            Route("DELETE", f"{base}/{{id}}", self.delete),
        ]

    def index(self, _request: Request) -> Reply:
        """All of them; secrets are never shown again."""
        found = [_view(record) for record in self._cloud.records.all(CREDENTIALS)]
        return Reply({"application_credentials": found})

    def create(self, request: Request) -> Reply:
        """A new one; its secret is in this answer only."""
        asked = request.json("application_credential")
        if not asked.get("name"):
            raise ApiError(BAD_REQUEST, "'name' is a required property")
        record: Record = {
            "id": secrets.token_hex(16),
            "name": asked["name"],
            "secret": asked.get("secret") or secrets.token_urlsafe(48),
            "unrestricted": bool(asked.get("unrestricted", False)),
            "expires_at": asked.get("expires_at"),
            "access_rules": asked.get("access_rules") or [],
            "project_id": self._cloud.identity.project_id,
        }
        self._cloud.records.put(CREDENTIALS, record["id"], record)
        shown = {**_view(record), "secret": record["secret"]}
        return Reply({"application_credential": shown}, 201)

    def show(self, request: Request) -> Reply:
        """One by id."""
        return Reply({"application_credential": _view(self._find(request.names["id"]))})

    def delete(self, request: Request) -> Reply:
        """What was logged in with it is logged out."""
        self._cloud.records.remove(CREDENTIALS, self._find(request.names["id"])["id"])
        return Reply(None, 204)

    def prove(self, auth: Any) -> Record | None:
        """The one that a request for a token shows; None where it shows something else.

        401 for a wrong secret and for one that has expired.
        """
        try:
            proof = auth["identity"][METHOD]
            record = self._cloud.records.get(CREDENTIALS, proof["id"])
        except (KeyError, TypeError):
            return None
        if record is None:
            return None
        if not hmac.compare_digest(str(proof.get("secret")), record["secret"]):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        ends = record["expires_at"]
        if ends and datetime.fromisoformat(ends).replace(tzinfo=UTC) < datetime.now(UTC):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        return record

    def is_restricted(self, auth_method: str) -> bool:
        """Whether who logged in this way may not make credentials."""
        method, _, identifier = auth_method.partition(":")
        if method != METHOD:
            return False
        record = self._cloud.records.get(CREDENTIALS, identifier) if identifier else None
        return record is None or not record["unrestricted"]

    def permit(self, auth_method: str, method: str, path: str) -> None:
        """401, as keystonemiddleware answers, for what the access rules do not name."""
        kind, _, identifier = auth_method.partition(":")
        if kind != METHOD or not identifier:
            return
        record = self._cloud.records.get(CREDENTIALS, identifier)
        rules = record["access_rules"] if record else [{"method": "", "path": ""}]
        named = (
            rule["method"] == method and fnmatch.fnmatch(path, f"*{rule['path']}") for rule in rules
        )
        if rules and not any(named):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")

    def _find(self, identifier: str) -> Record:
        record = self._cloud.records.get(CREDENTIALS, identifier)
        if record is None:
            raise ApiError(NOT_FOUND, f"Could not find Application Credential: {identifier}.")
        return record


def token_part(record: Record) -> dict[str, Any]:
    """What a token tells of the one it was made with (keystone/common/render_token.py)."""
    part = {
        "id": record["id"],
        "name": record["name"],
        "restricted": not record["unrestricted"],
    }
    return part | ({"access_rules": record["access_rules"]} if record["access_rules"] else {})


def _view(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "secret"}
