"""The dynamic provider of the database's client certificates.

There are always two authorities: one has signed the certificates in use, the other will sign those
of the next rotation. The database trusts both, so it accepts new certificates before a machine has
them. A rotation replaces the first authority; once the database trusts the new pair, it refuses the
old certificates.
"""

from typing import Any

from pulumi import dynamic as engine

from clients.certificates import issue, make_authority, public_part
from infra.providers import dynamic


class ClientCertificatesProvider(dynamic.Provider):
    """Certificates that the database's two users show (PEM, with their keys).

    Inputs: user, admin (their names, which are the common names), rotation. Outputs: trusted (the
    certificates of both authorities); secret: certificate, admin_certificate, authorities.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Change in place: the next authority is in the state."""
        return dynamic.diff(olds, news, update=("user", "admin", "rotation"))

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Make both authorities and the certificates."""
        outputs = _outputs(props, [make_authority(), make_authority()])
        return engine.CreateResult("client-certificates", outputs)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Issue certificates, after a rotation by the next authority."""
        authorities = olds["authorities"]
        if olds["rotation"] != news["rotation"]:
            authorities = [authorities[1], make_authority()]
        return engine.UpdateResult(_outputs(news, authorities))


def _outputs(props: dict[str, Any], authorities: list[str]) -> dict[str, Any]:
    return {
        **props,
        "authorities": authorities,
        "trusted": "".join(map(public_part, authorities)),
        "certificate": issue(props["user"], authorities[0]),
        "admin_certificate": issue(props["admin"], authorities[0]),
    }
