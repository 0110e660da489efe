"""The secrets of the page and the upload API, derived from the stack's S3 secret key.

The machine and `./pipeline` compute the same, so that a stack has no further secret to keep.
Standard library only: the Pulumi program and the commands import this module.
"""

import hmac
from base64 import urlsafe_b64encode

_BYTES = 24  # 192 bits: 32 digits of base64url


def bearer_token(s3_secret_key: str, token_round: int) -> str:
    """Return the bearer token of the upload API.

    Args:
        s3_secret_key: The stack's secret S3 key; rotating it changes the token too.
        token_round: The setting `rotation.uploadToken`; another number makes another token.

    Returns:
        32 characters of base64url (RFC 4648, 5).
    """
    return derived(s3_secret_key, f"upload-token {token_round}")


def page_key(s3_secret_key: str, token_round: int) -> str:
    """Return the key with which a browser is let in once.

    Args:
        s3_secret_key: The stack's secret S3 key, not the upload token: who may upload may not
            open the page.
        token_round: As for `bearer_token`.

    Returns:
        32 characters of base64url.
    """
    return derived(s3_secret_key, f"page-key {token_round}")


def session_id(key: str) -> str:
    """Return the value of the cookie that a browser gets for the page key."""
    return derived(key, "session")


def csrf_token(key: str) -> str:
    """Return what each change of the page must carry besides the cookie; pages contain it."""
    return derived(key, "csrf")


def is_same(given: str, secret: str) -> bool:
    """Compare what a client sent with a secret; the time does not depend on the content."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def derived(secret: str, purpose: str) -> str:
    """Return a secret that is derived from another one (HMAC-SHA256, RFC 2104).

    Args:
        secret: The other one, which cannot be computed from this.
        purpose: What it is for; another text gives another secret.

    Returns:
        32 characters of base64url.
    """
    digest = hmac.digest(secret.encode(), f"image-pipeline {purpose}".encode(), "sha256")
    return urlsafe_b64encode(digest[:_BYTES]).decode()
