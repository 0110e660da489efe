"""What a login may do: found out before anything is made, not when half of it stands."""

from typing import TYPE_CHECKING, Any

from infra.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection


def check(cloud: "Connection", *, makes_keys: bool) -> None:
    """Raises CloudError where clouds.yaml's application credential would not do.

    Keystone tells of it in each token (keystone/common/render_token.py). `makes_keys`: whether the
    program will ask for EC2 credentials. Keystone refuses them to a restricted one; since 30.0 (and
    in older ones that took over the fix of LP#2159643) to every one, as it refuses to list them.
    """
    entry, session = cloud.config.name, cloud.session
    access: Any = session.auth.get_access(session)  # type: ignore[union-attr]
    if not access.application_credential_id:
        return
    credential = access.application_credential
    name = credential.get("name") or access.application_credential_id
    if credential.get("access_rules"):
        raise CloudError(
            f"Cloud {entry!r}: application credential {name!r} has access rules, so services would"
            " refuse what they do not name: make one without access rules, and put it in"
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
    """Whether this login may not even see the EC2 credentials there are."""
    answer = session.get(
        f"/users/{session.get_user_id()}/credentials/OS-EC2",
        endpoint_filter={"service_type": "identity", "interface": "public", "version": (3, 0)},
        raise_exc=False,
    )
    return bool(answer.status_code == 403)  # noqa: PLR2004
