"""Checks the rights of a login before anything is created."""

from typing import TYPE_CHECKING, Any

from clients.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection


def check(cloud: "Connection", *, makes_keys: bool) -> None:
    """Refuse an application credential that is insufficient; `makes_keys`: for EC2 credentials."""
    # Keystone describes it in each token (keystone/common/render_token.py). It refuses EC2
    # credentials to a restricted one; since 30.0 (and in older versions with the fix of LP#2159643)
    # to every one, as it refuses to list them.
    entry, session = cloud.config.name, cloud.session
    access: Any = session.auth.get_access(session)  # type: ignore[union-attr]
    if not access.application_credential_id:
        return
    credential = access.application_credential
    name = credential.get("name") or access.application_credential_id
    if credential.get("access_rules"):
        raise CloudError(
            f"Cloud {entry!r}: application credential {name!r} has access rules, so services refuse"
            " everything that the rules do not name: make one without access rules, and put it in"
            " clouds.yaml."
        )
    if makes_keys and _keys_are_closed(session):
        raise CloudError(
            f"Cloud {entry!r}: its Keystone lets no application credential make the object store's"
            f" keys, and {name!r} is one: put a login by password into clouds.yaml, or set"
            " s3AccessKey and s3SecretKey."
        )
    if makes_keys and credential.get("restricted"):
        raise CloudError(
            f"Cloud {entry!r}: application credential {name!r} is restricted, so it may not make"
            " the object store's keys: make an unrestricted one (a tick in the web interface,"
            " `--unrestricted` on the command line), or set s3AccessKey and s3SecretKey."
        )


def _keys_are_closed(session: Any) -> bool:
    """Whether this login may not even list the EC2 credentials."""
    answer = session.get(
        f"/users/{session.get_user_id()}/credentials/OS-EC2",
        endpoint_filter={"service_type": "identity", "interface": "public", "version": (3, 0)},
        raise_exc=False,
    )
    return bool(answer.status_code == 403)  # noqa: PLR2004
