"""What a login may do: found out before anything is made, not when half of it stands."""

from typing import TYPE_CHECKING, Any

from infra.errors import CloudError

if TYPE_CHECKING:
    from openstack.connection import Connection


def check(cloud: "Connection", *, makes_keys: bool) -> None:
    """Raises CloudError where clouds.yaml's application credential would not do.

    Keystone tells of it in each token (keystone/common/render_token.py). `makes_keys`: whether the
    program will ask for EC2 credentials, which Keystone refuses to a restricted one.
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
    if makes_keys and credential.get("restricted"):
        raise CloudError(
            f"Cloud {entry!r}: application credential {name!r} is restricted, so it may not make"
            " the object store's keys: make an unrestricted one (a tick in the web interface,"
            " `--unrestricted` on the command line), or set s3AccessKey and s3SecretKey."
        )
