"""Dynamic providers of certificates: of the database's clients, and of the machine's servers.

Of the clients' authorities there are always two: one has signed the certificates in use, the other
will sign those of the next rotation. The database trusts both, so it accepts new certificates
before a machine has them. A rotation replaces the first authority; once the database trusts the new
pair, it refuses the old certificates.
"""

from typing import Any

from pulumi import dynamic as engine

from clients.certificates import days_left, issue, make_authority, public_part
from infra.providers import dynamic

#: Cameras keep the authority of the machine's server for as long as they are used.
AUTHORITY_DAYS = 30 * 365
#: A server's certificate that is valid for less is issued anew by the next `up`.
LEAST_DAYS = 365


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


class InterfaceCertificatesProvider(dynamic.Provider):
    """The stack's own authority, and the certificate that the machine's servers show (PEM).

    Inputs: address, domain ("" for none). Outputs: trusted (the authority's certificate); secret:
    certificate (the server's, with its key), authority (which stays the same: cameras know it).
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Change in place for another address or domain, and while there is time to renew."""
        found = dynamic.diff(olds, news, update=("address", "domain"))
        found.changes = found.changes or days_left(olds["certificate"]) < LEAST_DAYS
        return found

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Make the authority and the certificate."""
        made = _of_server(props, make_authority(AUTHORITY_DAYS))
        return engine.CreateResult("interface-certificates", made)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Issue another certificate."""
        return engine.UpdateResult(_of_server(news, olds["authority"]))


def _of_server(props: dict[str, Any], authority: str) -> dict[str, Any]:
    # The loopback address is for clients that come over a tunnel, or run on the same computer.
    hosts = [host for host in (props["address"], props["domain"], "127.0.0.1") if host]
    return {
        **props,
        "authority": authority,
        "trusted": public_part(authority),
        "certificate": issue(hosts[0], authority, *hosts),
    }
