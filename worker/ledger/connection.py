"""Sessions with the ledger's PostgreSQL."""

import socket
import ssl
import struct
from typing import Any

import psycopg
from psycopg.rows import dict_row

from worker.errors import ServiceUnavailable, TablesMissing
from worker.settings import CERTIFICATES, DatabaseSettings, Settings

Connection = psycopg.Connection[dict[str, Any]]

_CONNECT_SECONDS = 10
#: Asks a server for TLS: length and code (PostgreSQL documentation, "Message Formats", SSLRequest).
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_USE_POSTGRESQL = "set databaseHost and databasePort to those of PostgreSQL itself"
#: What libpq and the server report, and what to do about it.
_REMEDIES = {
    "unsupported startup parameter": "this is PgBouncer or another connection pooler, which "
    f"does not give the worker a session of its own, so {_USE_POSTGRESQL}",
    "requires a valid client certificate": "set databaseClientCertificates, or databaseSslCert and "
    "databaseSslKey",
    "alert unknown ca": "the database does not trust the authority of the client certificate, so "
    "put the output databaseClientCa (or the authority of databaseSslCert) into its ssl_ca_file",
    "alert certificate expired": "the client certificate has expired, so raise rotation, or renew "
    "databaseSslCert",
    "certificate authentication failed": "the client certificate's common name must be the user's",
    "does not match host name": "databaseHost must be a name or an address in the database's "
    "certificate",
}
#: With a password and `clientcert=verify-full` PostgreSQL reports both alike.
_NAME_OR_PASSWORD = (
    "password authentication failed",
    "the password is wrong, or the client certificate's common name is not the user's",
)


def reason_of(error: psycopg.Error) -> str:
    """Return the error's message in one line."""
    return " ".join(str(error).split())


def connect_worker(settings: Settings) -> Connection:
    """Open a session as the worker's role, with the credentials `database-…`."""
    return _connect(settings, settings.database.user, "database-password")


def connect_admin(settings: Settings) -> Connection:
    """Open a session as the schema's owner, with the credentials `database-admin-…`."""
    return _connect(settings, settings.database.admin, "database-admin-password")


def require_tables(connection: Connection) -> None:
    """Check that the first migration has ended: the worker's role may read the results.

    Raises:
        TablesMissing: It has not ended.
        ServiceUnavailable: The connection was lost.
    """
    try:
        found = connection.execute(
            "SELECT FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid "
            "WHERE (n.nspname, c.relname) = ('pipeline', 'results') "
            "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
        )
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The database failed: {reason_of(error)}.") from error
    if not found.rowcount:
        raise TablesMissing


def worker_parameters(settings: Settings) -> dict[str, Any]:
    """Return psycopg's parameters of a session as the worker's role, with its password."""
    return _parameters(settings, settings.database.user, "database-password")


def _parameters(settings: Settings, user: str, password: str) -> dict[str, Any]:
    """Return parameters that detect a dead peer and cancel statements after 30 seconds.

    Args:
        settings: Where the database is, how TLS is used, and where the credentials are.
        user: The database role.
        password: The name of the credential with its password.

    Returns:
        psycopg's parameters.
    """
    database = settings.database
    tls: dict[str, Any] = {"sslrootcert": database.sslrootcert or None}
    if database.client_certificate:
        # One file has both: libpq looks for the block that it needs.
        file = str(settings.credentials / CERTIFICATES[password])
        tls |= {"sslcert": file, "sslkey": file}
    return {
        "host": database.host,
        "port": database.port,
        "dbname": database.name,
        "user": user,
        "password": settings.credential(password),
        "sslmode": database.sslmode,
        "application_name": "pipeline-worker",
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,  # milliseconds
        # procrastinate's functions name its tables without their schema. The best plans do not
        # depend on the parameters.
        "options": "-c search_path=pipeline,public -c statement_timeout=30s "
        "-c plan_cache_mode=force_generic_plan "
        # The server too: it ends the session of a dead worker within a minute, not two hours.
        "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
        **tls,
    }


def _connect(settings: Settings, user: str, password: str) -> Connection:
    """Open a session.

    Args:
        settings: Where the database is, how TLS is used, and where the credentials are.
        user: The database role.
        password: The name of the credential with its password.

    Returns:
        A session in autocommit mode whose rows are dictionaries.

    Raises:
        ServiceUnavailable: The server cannot be reached, refused the login, or is a pooler.
    """
    database, parameters = settings.database, _parameters(settings, user, password)
    connection: Connection | None = None
    try:
        connection = psycopg.connect(autocommit=True, row_factory=dict_row, **parameters)
        is_pooled = _is_pooled(connection)
    except psycopg.Error as error:
        if connection:
            connection.close()
        reason = reason_of(error)
        remedy = _remedy(database, reason)
        raise ServiceUnavailable(
            f"The connection to the database {database.name!r} at {database.host}:{database.port} "
            f"as user {user!r} failed: {reason}{remedy and f': {remedy}'}."
        ) from error
    if is_pooled:
        connection.close()
        raise ServiceUnavailable(
            f"The database {database.name!r} at {database.host}:{database.port} is behind "
            "PgBouncer or another connection pooler, which does not give the worker a session of "
            f"its own, so {_USE_POSTGRESQL}."
        )
    return connection


def _is_pooled(connection: Connection) -> bool:
    """Return whether another process serves a session than the one that greeted it.

    A pooler that is set to ignore `options` accepts the login, but search_path and the timeouts are
    not in force. It makes up the process id that cancels a session's statements (PostgreSQL
    documentation, "Message Flow", BackendKeyData).
    """
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return row is None or row["pid"] != connection.info.backend_pid


def _remedy(database: DatabaseSettings, reason: str) -> str:
    """Return what to do about a problem, "" if it is not a known one."""
    if "certificate verify failed" in reason:
        return (
            f"the database's certificate is not valid ({_tls_error(database)}), so renew it, or "
            "set databaseSslRootCert to the authority that signed it"
        )
    found = [remedy for words, remedy in _REMEDIES.items() if words in reason]
    if database.client_certificate and _NAME_OR_PASSWORD[0] in reason:
        found.append(_NAME_OR_PASSWORD[1])
    return found[0] if found else ""


def _tls_error(database: DatabaseSettings) -> str:
    """Return why the server's certificate is not valid, which libpq does not report."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(database.sslrootcert)
        address = (database.host, database.port)
        with socket.create_connection(address, _CONNECT_SECONDS) as plain:
            plain.sendall(_SSL_REQUEST)
            plain.recv(1)
            context.wrap_socket(plain).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)
    return "unknown reason"
