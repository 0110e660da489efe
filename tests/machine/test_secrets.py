"""The stack's secrets on the machine are in root's files, and nowhere else."""

import re

from clients.certificates import issue
from tests.machine.guest import WORKER, Guest, eventually

NAMES = ("s3SecretKey", "databaseAdminPassword", "databaseUserPassword")
PARAMETER = r"\"width\": 61"  # of the pipeline `thumbs`, as in worker.toml
LIST = "/root/secrets-to-look-for"
#: Connects with the credential as client certificate, and with a copy that others may read, to what
#: answers as a server with TLS and then closes the connection.
CONNECT = """
import os, psycopg, shutil, socket, threading
secret = os.environ["CREDENTIALS_DIRECTORY"] + "/database-certificate"
copy = os.environ["STATE_DIRECTORY"] + "/copy"
shutil.copyfile(secret, copy)
os.chmod(copy, 0o644)
listener = socket.create_server(("127.0.0.1", 0))
def answer():
    while True:
        session, _ = listener.accept()
        session.recv(8)
        session.sendall(b"S")
        session.close()
threading.Thread(target=answer, daemon=True).start()
for path in (secret, copy):
    access = {"host": "127.0.0.1", "port": listener.getsockname()[1], "user": "worker"}
    try:
        psycopg.connect(**access, sslmode="require", sslcert=path, sslkey=path)
    except psycopg.OperationalError as error:
        print(" ".join(str(error).split()))
os.remove(copy)
"""
_LOOK = f"grep -rlsF -f {LIST} --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev /"


def test_secrets_are_in_no_file_that_others_can_read(guest: Guest) -> None:
    secrets = guest.secrets(NAMES)
    guest.write(LIST, "\n".join(secrets))
    found = set(guest.shell(f"chmod 0600 {LIST}; {_LOOK}", code=None).splitlines()) - {LIST}
    kept = "/etc/pipeline/credentials/"
    wanted = {"s3-secret-key", "database-admin-password", "database-password"}
    assert {path.removeprefix(kept) for path in found if path.startswith(kept)} == wanted
    for path in found:  # cloud-init's own copy of the user-data may be among them
        shown = guest.shell(f"stat -c '%U %G %a' {path} 2>/dev/null", code=None).split()
        if not shown and path.startswith("/run/credentials/"):
            continue  # of a pass that has ended meanwhile
        owner, group, mode = shown
        # There systemd gives a credential to the pass's own user, who is gone after it.
        assert owner == "root" or path.startswith("/run/credentials/"), path
        assert (group, mode[-1]) == ("root", "0"), path


def test_unprivileged_user_finds_no_secret(guest: Guest) -> None:
    timer = "/etc/systemd/system/pipeline-worker@.timer"
    assert timer in _as_nobody(guest, ["OnUnitInactiveSec="])  # the search works
    assert PARAMETER in guest.shell("cat /etc/pipeline/worker.toml")  # it could be secret
    assert _as_nobody(guest, [*guest.secrets(NAMES), PARAMETER]) == []


def _as_nobody(guest: Guest, words: list[str]) -> list[str]:
    """Return the files in which an unprivileged user finds one of the words."""
    guest.write(LIST, "\n".join(words))
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    return guest.shell(f"{nobody} {_LOOK.replace(LIST, '-')} < {LIST}; true").splitlines()


def test_secrets_are_in_no_command_line_environment_or_journal(guest: Guest) -> None:
    """Processes are listed while a pass runs: each photo takes the worker some time."""
    guest.pause()
    for pipeline in ("negatives", "thumbs"):
        guest.put("coffee.png", "galaxies.jpg", "rocket.jpg", "cat.jpg", pipeline=pipeline)
    guest.shell(f"systemctl start --no-block {WORKER} pipeline-worker@thumbs.service")
    seen = guest.shell(
        f"for each in $(seq 200); do [ $(systemctl show -P MainPID {WORKER}) != 0 ] && break; "
        "sleep 0.05; done; "
        "for each in $(seq 1200); do pgrep -f '[s]andbox.child .*thumbnail' >/dev/null && break; "
        "sleep 0.05; done; "
        "for each in $(seq 15); do ps axeww -o pid,args; "
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; sleep 0.2; done"
    )
    guest.resume()
    eventually(guest.is_idle, what="all is done")
    journal = guest.shell("journalctl --no-pager -o verbose")
    assert "worker drain" in seen  # a pass was seen
    assert "CREDENTIALS_DIRECTORY=/run/credentials/" in seen  # and its environment
    assert '"event": "done"' in journal
    assert re.search(r"worker\.sandbox\.child .*thumbnail", seen)
    for secret in [*guest.secrets(NAMES), '"width": 61']:
        assert secret not in seen
        assert secret not in journal


def test_libpq_accepts_the_credential_as_a_key(guest: Guest) -> None:
    """It refuses keys that others can read, and systemd chooses owner and mode of credentials."""
    path = "/etc/pipeline/credentials/database-certificate"
    assert guest.shell(f"stat -c %s {path}") == "0"  # the unit loads it though it is empty
    guest.write(path, issue("worker"))
    try:
        of_credential, of_copy = guest.probe_as_worker(CONNECT).splitlines()
    finally:
        guest.shell(f"truncate -s 0 {path}")
    assert "has group or world access" in of_copy
    assert "group or world" not in of_credential
    assert "SSL" in of_credential  # it went on to the handshake
