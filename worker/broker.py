"""`python -m worker.broker`: write mosquitto's configuration, then become mosquitto.

The unit pipeline-broker.service loads the passwords: a credential `camera-NAME` for each camera,
and `broker-password`, that of the user `ingest`. So the broker needs no settings. Standard library
only. What mosquitto really does: findings/ and docs/interoperability.md.

https://mosquitto.org/man/mosquitto-conf-5.html
"""

import argparse
import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Of the loopback interface, for `worker ingest`.
PORT = 1883
#: Of all interfaces, for cameras.
CAMERAS_PORT = 8883
#: The user of `worker ingest`.
INGEST_USER = "ingest"
#: What the name of a credential with a camera's password begins with.
CAMERA = "camera-"
#: Credential with the password of `ingest`.
PASSWORD = "broker-password"  # noqa: S105  the name of the file that has it
#: Credential with the server's certificate and its key, PEM in one file.
CERTIFICATE = "interface-certificate"
TOPICS = "image-pipeline"
_PROGRAM = Path("/usr/sbin/mosquitto")
#: mosquitto 2.0 takes salts of this length only. Passwords are derived from keys of 256 bits, so
#: its own number of iterations is enough.
_SALT_BYTES, _ITERATIONS = 12, 101
#: For one client's session: cameras keep everything until it is confirmed, so the broker need not,
#: and it writes all of it to the disk once per second.
_MAX_QUEUED_BYTES = 64 << 20


def configuration(
    files: Path, credentials: Path, state: Path, *, port: int, cameras_port: int, address: str
) -> str:
    """Return mosquitto.conf.

    Args:
        files: The folder with `passwords` and `acl`.
        credentials: The folder with the certificate.
        state: The folder of sessions and their queues.
        port: Of the loopback interface, for `worker ingest`.
        cameras_port: For cameras, with TLS.
        address: The one that cameras connect to, "" for all of the machine.

    Returns:
        Its text. A PUBACK says nothing about storage: without `autosave_interval 1` the broker
        loses half an hour at a power cut, and with a maximum number of queued messages or a limit
        of their size it drops what it acknowledged. Retained pictures would stay in its memory, and
        be written each second, for good: whoever sends one is disconnected.
    """
    bind = f" {address}" if address else ""
    # As root it would become the user `mosquitto`, who may not read the files: only where a person
    # is root, since the unit has a user of its own.
    user = "user root\n" if os.geteuid() == 0 else ""
    return f"""\
{user}allow_anonymous false
password_file {files}/passwords
acl_file {files}/acl
log_dest stderr
log_timestamp_format %Y-%m-%dT%H:%M:%S broker
log_type error
log_type warning
log_type notice
persistence true
persistence_location {state}/
autosave_interval 1
persistent_client_expiration 14d
retain_available false
max_queued_messages 0
max_queued_bytes {_MAX_QUEUED_BYTES}

listener {port} 127.0.0.1

listener {cameras_port}{bind}
certfile {credentials}/{CERTIFICATE}
keyfile {credentials}/{CERTIFICATE}
tls_version tlsv1.2
"""


def access_list(cameras: Iterable[str]) -> str:
    """Return the ACL: a camera writes below its own name and reads its confirmations.

    Args:
        cameras: Their names.
    """
    lines = [f"user {INGEST_USER}", f"topic read {TOPICS}/#", f"topic write {TOPICS}/+/+/confirmed"]
    for name in cameras:
        lines += [f"user {name}", f"topic write {TOPICS}/{name}/#"]
        lines.append(f"topic read {TOPICS}/{name}/+/confirmed")
    return "\n".join(lines) + "\n"


def passwords(users: Mapping[str, str]) -> str:
    """Return mosquitto's password file: name -> password as `$7$`, PBKDF2 with SHA-512.

    mosquitto_passwd(1) would take passwords from a file as well, but leaves them there in clear
    until it has run.
    """
    return "".join(f"{name}:{_hash(password)}\n" for name, password in users.items())


def _hash(password: str) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    parts = (base64.b64encode(part).decode() for part in (salt, made))
    return f"$7${_ITERATIONS}${'$'.join(parts)}"


def main(arguments: list[str]) -> None:
    """Write the files to `$RUNTIME_DIRECTORY`, then run mosquitto in this process.

    Args:
        arguments: The command line without the program's name.
    """
    parser = argparse.ArgumentParser("python -m worker.broker")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--cameras-port", type=int, default=CAMERAS_PORT)
    parser.add_argument("--address", default="", help="of cameras' port; default: all")
    parser.add_argument("--program", type=Path, default=_PROGRAM, help="mosquitto")
    options = parser.parse_args(arguments)
    files, credentials, state = (
        Path(os.environ[f"{name}_DIRECTORY"]) for name in ("RUNTIME", "CREDENTIALS", "STATE")
    )
    names = sorted(path.name.removeprefix(CAMERA) for path in credentials.glob(f"{CAMERA}*"))
    users = {name: _read(credentials / f"{CAMERA}{name}") for name in names}
    written = {
        "passwords": passwords({INGEST_USER: _read(credentials / PASSWORD), **users}),
        "acl": access_list(names),
        "mosquitto.conf": configuration(
            files,
            credentials,
            state,
            port=options.port,
            cameras_port=options.cameras_port,
            address=options.address,
        ),
    }
    os.umask(0o077)
    for name, text in written.items():
        (files / name).write_text(text)
    os.execv(options.program, ["mosquitto", "-c", str(files / "mosquitto.conf")])  # noqa: S606


def _read(path: Path) -> str:
    return path.read_text().removesuffix("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
