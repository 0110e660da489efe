"""The local cloud's one project and user, their secrets, and the tokens that they get."""

import base64
import hmac
import json
import secrets
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local import private_file
from local.api.http import UNAUTHORIZED
from local.errors import ApiError

LIFETIME = 86400
"""The seconds that a token is valid."""


@dataclass(frozen=True)
class Identity:
    """The ids and secrets of one cloud: random, and in a private file."""

    project_id: str
    user_id: str
    password: str
    application_credential_id: str
    application_credential_secret: str
    signing_key: str
    project_name: str = "project_local"
    user_name: str = "demo"

    def token(self, method: str) -> tuple[str, float]:
        """Return a token and the time when it expires (Unix seconds).

        Args:
            method: how its bearer logged in.
        """
        ends = time.time() + LIFETIME
        claim = base64.urlsafe_b64encode(json.dumps([method, ends]).encode()).decode()
        return f"{claim}.{self._sign(claim)}", ends

    def method_of(self, token: str) -> str:
        """Return how a token's bearer logged in.

        Raises:
            ApiError: 401; the token is forged or has expired.
        """
        claim, _, signature = token.partition(".")
        if not _same(signature, self._sign(claim)):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        method, ends = json.loads(base64.urlsafe_b64decode(claim))
        if ends < time.time():
            raise ApiError(UNAUTHORIZED, "The token has expired.")
        return str(method)

    def check(self, auth: Any) -> str:
        """Return the method by which a token request's `auth` proves its user, or raise a 401."""
        refused = ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        try:
            method = auth["identity"]["methods"][0]
            proof = auth["identity"][method]
            if method == "password":
                user, project = proof["user"], auth.get("scope", {}).get("project", {})
                is_right = (
                    (user.get("name") == self.user_name or user.get("id") == self.user_id)
                    and project.get("name") in (None, self.project_name)
                    and project.get("id") in (None, self.project_id)
                    and _same(user["password"], self.password)
                )
            elif method == "application_credential":
                is_right = proof["id"] == self.application_credential_id and _same(
                    proof["secret"], self.application_credential_secret
                )
            else:
                is_right = False
        except (KeyError, TypeError, IndexError, AttributeError):
            raise refused from None
        if not is_right:
            raise refused
        return str(method)

    def _sign(self, claim: str) -> str:
        return hmac.new(self.signing_key.encode(), claim.encode(), "sha256").hexdigest()


def load(folder: Path) -> Identity:
    """Return the identity of the cloud in `folder`; makes it if need be."""
    path = folder / "identity.json"
    if not path.exists():
        identity = Identity(
            uuid.uuid4().hex,
            uuid.uuid4().hex,
            *(secrets.token_urlsafe(24), uuid.uuid4().hex),
            *(secrets.token_urlsafe(48), secrets.token_hex(32)),
        )
        private_file.write(path, json.dumps(asdict(identity)))
    return Identity(**json.loads(path.read_text(encoding="utf-8")))


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
