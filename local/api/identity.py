"""The one project and user of the local cloud, their secrets, and the tokens given out."""

import base64
import hmac
import json
import secrets
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local import files
from local.api.http import UNAUTHORIZED, ApiError

LIFETIME = 86400
"""Seconds that a token is good for."""


@dataclass(frozen=True)
class Identity:
    """Random for each cloud; kept in a file that only its owner can read."""

    project_id: str
    user_id: str
    password: str
    application_credential_id: str
    application_credential_secret: str
    signing_key: str
    project_name: str = "project_local"
    user_name: str = "demo"

    def token(self, method: str) -> tuple[str, float]:
        """A token for someone who proved to be the user by `method`, and when it ends."""
        ends = time.time() + LIFETIME
        claim = base64.urlsafe_b64encode(json.dumps([method, ends]).encode()).decode()
        return f"{claim}.{self._sign(claim)}", ends

    def method_of(self, token: str) -> str:
        """How the bearer of a token proved who they are; 401 for a token that is not ours."""
        claim, _, signature = token.partition(".")
        if not _same(signature, self._sign(claim)):
            raise ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        method, ends = json.loads(base64.urlsafe_b64decode(claim))
        if ends < time.time():
            raise ApiError(UNAUTHORIZED, "The token has expired.")
        return str(method)

    def prove(self, auth: Any) -> str:
        """The method by which a request for a token proves its sender; 401 if it does not."""
        refused = ApiError(UNAUTHORIZED, "The request you have made requires authentication.")
        try:
            method = auth["identity"]["methods"][0]
            proof = auth["identity"][method]
            if method == "password":
                user, project = proof["user"], auth.get("scope", {}).get("project", {})
                known = user.get("name") == self.user_name or user.get("id") == self.user_id
                scoped = project.get("name") in (None, self.project_name) and project.get("id") in (
                    None,
                    self.project_id,
                )
                good = known and scoped and _same(user["password"], self.password)
            elif method == "application_credential":
                good = proof["id"] == self.application_credential_id and _same(
                    proof["secret"], self.application_credential_secret
                )
            else:
                good = False
        except (KeyError, TypeError, IndexError, AttributeError):
            raise refused from None
        if not good:
            raise refused
        return str(method)

    def _sign(self, claim: str) -> str:
        return hmac.new(self.signing_key.encode(), claim.encode(), "sha256").hexdigest()


def load(folder: Path) -> Identity:
    """The identity of the cloud in `folder`, made when there is none."""
    path = folder / "identity.json"
    if not path.exists():
        made = Identity(
            uuid.uuid4().hex,
            uuid.uuid4().hex,
            *(secrets.token_urlsafe(24), uuid.uuid4().hex),
            *(secrets.token_urlsafe(48), secrets.token_hex(32)),
        )
        files.write(path, json.dumps(asdict(made)))
    return Identity(**json.loads(path.read_text(encoding="utf-8")))


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())
