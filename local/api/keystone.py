"""Keystone v3: tokens with a catalog, the project, EC2 and application credentials.

https://docs.openstack.org/api-ref/identity/v3/
"""

import fnmatch
import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any

from local.api.http import BAD_REQUEST, FORBIDDEN, NOT_FOUND, UNAUTHORIZED, Request, Response, Route
from local.api.state import REGION, CloudState, Record, now
from local.errors import ApiError

EC2_CREDENTIALS = "ec2-credentials"
_APPLICATION_CREDENTIALS = "application-credentials"
_REVOKED_TOKENS = "revoked-tokens"
_METHOD = "application_credential"
_UNAUTHORIZED = "The request you have made requires authentication."


class Keystone:
    """The service below /identity."""

    def __init__(self, state: CloudState) -> None:
        self._state = state
        self._applications = ApplicationCredentials(state)

    def routes(self) -> list[Route]:
        """Return the routes of this service."""
        ec2 = "/identity/v3/users/{user}/credentials/OS-EC2"
        return [
            Route("GET", "/identity", self.versions, public=True),
            Route("GET", "/identity/v3", self.version, public=True),
            Route("POST", "/identity/v3/auth/tokens", self.authenticate, public=True),
            Route("DELETE", "/identity/v3/auth/tokens", self.revoke),
            Route("GET", "/identity/v3/auth/catalog", self.catalog),
            Route("GET", "/identity/v3/auth/projects", self.projects),
            Route("GET", "/identity/v3/projects", self.projects),
            Route("GET", "/identity/v3/projects/{id}", self.project),
            Route("GET", ec2, self.credentials),
            Route("POST", ec2, self.create_credential),
            Route("GET", f"{ec2}/{{access}}", self.credential),
            Route("DELETE", f"{ec2}/{{access}}", self.delete_credential),
            *self._applications.routes(),
        ]

    def versions(self, _request: Request) -> Response:
        """List the versions, with status 300 as for every unversioned URL."""
        return Response({"versions": {"values": [self._version()]}}, 300)

    def version(self, _request: Request) -> Response:
        """Show the only version."""
        return Response({"version": self._version()})

    def authenticate(self, request: Request) -> Response:
        """Create a token for a password or an application credential."""
        identity, auth = self._state.identity, request.json("auth")
        application = self._applications.check(auth)
        method = _METHOD if application else identity.check(auth)
        token, ends = identity.token(f"{_METHOD}:{application['id']}" if application else method)
        domain = {"id": "default", "name": "Default"}
        body = {
            "methods": [method],
            "user": {"id": identity.user_id, "name": identity.user_name, "domain": domain},
            "project": {**self._project(), "domain": domain},
            "roles": [{"id": "member", "name": "member"}],
            "is_domain": False,
            "catalog": self._catalog(),
            "issued_at": now(),
            "expires_at": datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            "audit_ids": [secrets.token_urlsafe(16)],
        }
        if application:
            body[_METHOD] = _token_part(application)
        return Response({"token": body}, 201, {"X-Subject-Token": token})

    def revoke(self, request: Request) -> Response:
        """Revoke a token."""
        token = request.headers.get("X-Subject-Token", "")
        self._state.records.put(_REVOKED_TOKENS, _digest(token), {"at": now()})
        return Response(None, 204)

    def authorize(self, token: str, method: str, path: str) -> str:
        """Return how a token's bearer logged in.

        Args:
            token: the request's token.
            method: the request's HTTP method.
            path: the request's path.

        Raises:
            ApiError: 401; the token is not valid, or not for this request.
        """
        if self._state.records.get(_REVOKED_TOKENS, _digest(token)):
            raise ApiError(UNAUTHORIZED, _UNAUTHORIZED)
        auth_method = self._state.identity.method_of(token)
        self._applications.check_access(auth_method, method, path)
        return auth_method

    def catalog(self, _request: Request) -> Response:
        """List the services."""
        return Response({"catalog": self._catalog()})

    def projects(self, _request: Request) -> Response:
        """List the only project."""
        return Response({"projects": [self._project()]})

    def project(self, request: Request) -> Response:
        """Show the project by its id."""
        if request.names["id"] != self._state.identity.project_id:
            raise ApiError(NOT_FOUND, f"Could not find project: {request.names['id']}.")
        return Response({"project": self._project()})

    def credentials(self, _request: Request) -> Response:
        """List the EC2 credentials."""
        return Response({"credentials": self._state.records.all(EC2_CREDENTIALS)})

    def credential(self, request: Request) -> Response:
        """Show an EC2 credential."""
        return Response({"credential": self._find(request.names["access"])})

    def create_credential(self, request: Request) -> Response:
        """Create an EC2 credential."""
        return Response({"credential": self.new_credential(request.auth_method)}, 201)

    def delete_credential(self, request: Request) -> Response:
        """Delete an EC2 credential."""
        self._state.records.remove(EC2_CREDENTIALS, self._find(request.names["access"])["access"])
        return Response(None, 204)

    def new_credential(self, auth_method: str) -> Record:
        """Create an EC2 credential: keys for the object store.

        Args:
            auth_method: how the caller logged in.

        Returns:
            The credential's record.

        Raises:
            ApiError: 403; the caller logged in with a restricted application credential.
        """
        if self._applications.is_restricted(auth_method):
            raise ApiError(
                FORBIDDEN,
                "Using method 'application_credential' is not allowed for managing additional "
                "credentials.",
            )
        identity = self._state.identity
        record = {
            "access": secrets.token_hex(16),
            "secret": secrets.token_hex(16),
            "user_id": identity.user_id,
            "tenant_id": identity.project_id,
            "trust_id": None,
        }
        self._state.records.put(EC2_CREDENTIALS, record["access"] or "", record)
        return record

    def _find(self, access: str) -> Record:
        record = self._state.records.get(EC2_CREDENTIALS, access)
        if record is None:
            raise ApiError(NOT_FOUND, f"Could not find credential: {access}.")
        return record

    def _version(self) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{self._state.url}/identity/v3/"}
        media = "application/vnd.openstack.identity-v3+json"
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [link],
            "media-types": [{"base": "application/json", "type": media}],
        }

    def _project(self) -> dict[str, Any]:
        identity = self._state.identity
        return {
            "id": identity.project_id,
            "name": identity.project_name,
            "domain_id": "default",
            "enabled": True,
        }

    def _catalog(self) -> list[dict[str, Any]]:
        url, project = self._state.url, self._state.identity.project_id
        services = {
            ("identity", "keystone"): f"{url}/identity/v3",
            ("compute", "nova"): f"{url}/compute/v2.1",
            ("network", "neutron"): f"{url}/network",
            ("image", "glance"): f"{url}/image",
            ("database", "trove"): f"{url}/database/v1.0/{project}",
            ("object-store", "swift"): f"{self._state.store}/swift/v1/AUTH_{project}",
        }
        return [
            {
                "id": kind,
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": f"{kind}-{interface}",
                        "interface": interface,
                        "region": REGION,
                        "region_id": REGION,
                        "url": address,
                    }
                    for interface in ("public", "internal")
                ],
            }
            for (kind, name), address in services.items()
        ]


class ApplicationCredentials:
    """The credentials that a person puts into clouds.yaml, below a user of /identity.

    A restricted one (the default) may not make further credentials; one with access rules may do
    only what they name; one that has expired may do nothing.
    """

    def __init__(self, state: CloudState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes of this part of Keystone."""
        base = "/identity/v3/users/{user}/application_credentials"
        return [
            Route("GET", base, self.index),
            Route("POST", base, self.create),
            Route("GET", f"{base}/{{id}}", self.show),
            Route("DELETE", f"{base}/{{id}}", self.delete),
        ]

    def index(self, _request: Request) -> Response:
        """List all of them, without their secrets."""
        found = [_public(record) for record in self._state.records.all(_APPLICATION_CREDENTIALS)]
        return Response({"application_credentials": found})

    def create(self, request: Request) -> Response:
        """Create one; only this response shows its secret."""
        asked = request.json(_METHOD)
        if not asked.get("name"):
            raise ApiError(BAD_REQUEST, "'name' is a required property")
        record: Record = {
            "id": secrets.token_hex(16),
            "name": asked["name"],
            "secret": asked.get("secret") or secrets.token_urlsafe(48),
            "unrestricted": bool(asked.get("unrestricted", False)),
            "expires_at": asked.get("expires_at"),
            "access_rules": asked.get("access_rules") or [],
            "project_id": self._state.identity.project_id,
        }
        self._state.records.put(_APPLICATION_CREDENTIALS, record["id"], record)
        return Response({_METHOD: {**_public(record), "secret": record["secret"]}}, 201)

    def show(self, request: Request) -> Response:
        """Show one by its id."""
        return Response({_METHOD: _public(self._find(request.names["id"]))})

    def delete(self, request: Request) -> Response:
        """Delete one, and with it what its tokens may do."""
        identifier = self._find(request.names["id"])["id"]
        self._state.records.remove(_APPLICATION_CREDENTIALS, identifier)
        return Response(None, 204)

    def check(self, auth: Any) -> Record | None:
        """Return the credential that a token request proves; None if it names none of these.

        Args:
            auth: the request's `auth`.

        Raises:
            ApiError: 401; the secret is wrong, or the credential has expired.
        """
        try:
            proof = auth["identity"][_METHOD]
            record = self._state.records.get(_APPLICATION_CREDENTIALS, proof["id"])
        except (KeyError, TypeError):
            return None
        if record is None:
            return None
        if not hmac.compare_digest(str(proof.get("secret")), record["secret"]):
            raise ApiError(UNAUTHORIZED, _UNAUTHORIZED)
        ends = record["expires_at"]
        if ends and datetime.fromisoformat(ends).replace(tzinfo=UTC) < datetime.now(UTC):
            raise ApiError(UNAUTHORIZED, _UNAUTHORIZED)
        return record

    def is_restricted(self, auth_method: str) -> bool:
        """Whether a user who logged in this way may not make credentials."""
        method, _, identifier = auth_method.partition(":")
        if method != _METHOD:
            return False
        record = self._get(identifier)
        return record is None or not record["unrestricted"]

    def check_access(self, auth_method: str, method: str, path: str) -> None:
        """Check a request against the access rules of its sender's credential.

        Args:
            auth_method: how the sender logged in.
            method: the request's HTTP method.
            path: the request's path.

        Raises:
            ApiError: 401, as keystonemiddleware answers; the rules do not name the request.
        """
        kind, _, identifier = auth_method.partition(":")
        if kind != _METHOD or not identifier:
            return
        record = self._get(identifier)
        rules = record["access_rules"] if record else [{"method": "", "path": ""}]
        named = (
            rule["method"] == method and fnmatch.fnmatch(path, f"*{rule['path']}") for rule in rules
        )
        if rules and not any(named):
            raise ApiError(UNAUTHORIZED, _UNAUTHORIZED)

    def _get(self, identifier: str) -> Record | None:
        return self._state.records.get(_APPLICATION_CREDENTIALS, identifier) if identifier else None

    def _find(self, identifier: str) -> Record:
        record = self._get(identifier)
        if record is None:
            raise ApiError(NOT_FOUND, f"Could not find Application Credential: {identifier}.")
        return record


def _token_part(record: Record) -> dict[str, Any]:
    """A token's section about its application credential (keystone/common/render_token.py)."""
    part = {
        "id": record["id"],
        "name": record["name"],
        "restricted": not record["unrestricted"],
    }
    return part | ({"access_rules": record["access_rules"]} if record["access_rules"] else {})


def _public(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "secret"}


def _digest(token: str) -> str:
    """The name under which a revoked token is stored: a reader cannot log in with it."""
    return hashlib.sha256(token.encode()).hexdigest()
