"""Keystone v3: version, tokens with a catalog, the project, EC2 credentials.

https://docs.openstack.org/api-ref/identity/v3/
"""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

from local.api.application_credentials import METHOD, ApplicationCredentials, token_part
from local.api.cloud import REGION, Cloud, now
from local.api.http import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, ApiError, Reply, Request, Route
from local.api.records import Record

CREDENTIALS = "ec2-credentials"
REVOKED = "revoked-tokens"


class Keystone:
    """Answers below /identity."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._applications = ApplicationCredentials(cloud)

    def routes(self) -> list[Route]:
        """What this service answers."""
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

    def versions(self, _request: Request) -> Reply:
        """The versions, as an unversioned URL answers them (300)."""
        return Reply({"versions": {"values": [self._version()]}}, 300)

    def version(self, _request: Request) -> Reply:
        """The one version."""
        return Reply({"version": self._version()})

    def authenticate(self, request: Request) -> Reply:
        """A token for a password or an application credential."""
        identity, auth = self._cloud.identity, request.json("auth")
        application = self._applications.prove(auth)
        method = METHOD if application else identity.prove(auth)
        token, ends = identity.token(f"{METHOD}:{application['id']}" if application else method)
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
            body[METHOD] = token_part(application)
        return Reply({"token": body}, 201, {"X-Subject-Token": token})

    def revoke(self, request: Request) -> Reply:
        """A token is good no more."""
        token = request.headers.get("X-Subject-Token", "")
        self._cloud.records.put(REVOKED, _digest(token), {"at": now()})
        return Reply(None, 204)

    def authorize(self, token: str, method: str, path: str) -> str:
        """How the bearer of a token logged in; 401 where it may not do this."""
        if self._cloud.records.get(REVOKED, _digest(token)):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        auth_method = self._cloud.identity.method_of(token)
        self._applications.permit(auth_method, method, path)
        return auth_method

    def catalog(self, _request: Request) -> Reply:
        """The services."""
        return Reply({"catalog": self._catalog()})

    def projects(self, _request: Request) -> Reply:
        """The only project."""
        return Reply({"projects": [self._project()]})

    def project(self, request: Request) -> Reply:
        """The project by id."""
        if request.names["id"] != self._cloud.identity.project_id:
            raise ApiError(NOT_FOUND, f"Could not find project: {request.names['id']}.")
        return Reply({"project": self._project()})

    def credentials(self, _request: Request) -> Reply:
        """All EC2 credentials."""
        return Reply({"credentials": self._cloud.records.all(CREDENTIALS)})

    def credential(self, request: Request) -> Reply:
        """One EC2 credential."""
        return Reply({"credential": self._find(request.names["access"])})

    def create_credential(self, request: Request) -> Reply:
        """A new EC2 credential."""
        return Reply({"credential": self.new_credential(request.auth_method)}, 201)

    def delete_credential(self, request: Request) -> Reply:
        """Forget one."""
        self._cloud.records.remove(CREDENTIALS, self._find(request.names["access"])["access"])
        return Reply(None, 204)

    def new_credential(self, auth_method: str) -> Record:
        """Keys for the object store; a restricted application credential may not make them."""
        if self._applications.is_restricted(auth_method):
            raise ApiError(
                FORBIDDEN,
                "Using method 'application_credential' is not allowed for managing additional "
                "credentials.",
            )
        identity = self._cloud.identity
        record = {
            "access": secrets.token_hex(16),
            "secret": secrets.token_hex(16),
            "user_id": identity.user_id,
            "tenant_id": identity.project_id,
            "trust_id": None,
        }
        self._cloud.records.put(CREDENTIALS, record["access"] or "", record)
        return record

    def _find(self, access: str) -> Record:
        record = self._cloud.records.get(CREDENTIALS, access)
        if record is None:
            raise ApiError(NOT_FOUND, f"Could not find credential: {access}.")
        return record

    def _version(self) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{self._cloud.url}/identity/v3/"}
        media = "application/vnd.openstack.identity-v3+json"
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [link],
            "media-types": [{"base": "application/json", "type": media}],
        }

    def _project(self) -> dict[str, Any]:
        identity = self._cloud.identity
        return {
            "id": identity.project_id,
            "name": identity.project_name,
            "domain_id": "default",
            "enabled": True,
        }

    def _catalog(self) -> list[dict[str, Any]]:
        url, project = self._cloud.url, self._cloud.identity.project_id
        services = {
            ("identity", "keystone"): f"{url}/identity/v3",
            ("compute", "nova"): f"{url}/compute/v2.1",
            ("network", "neutron"): f"{url}/network",
            ("image", "glance"): f"{url}/image",
            ("database", "trove"): f"{url}/database/v1.0/{project}",
            ("object-store", "swift"): f"{self._cloud.store}/swift/v1/AUTH_{project}",
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


def _digest(token: str) -> str:
    """Under which a token is remembered: what can be read from a record logs nobody in."""
    return hashlib.sha256(token.encode()).hexdigest()
