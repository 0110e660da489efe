"""The stack's secrets on the machine are in root's files, and nowhere else."""

import re

from tests.machine.guest import WORKER, Guest, eventually

NAMES = ("s3SecretKey", "databaseAdminPassword", "databaseUserPassword")
PARAMETER = r"\"width\": 61"  # of the pipeline `thumbs`, as in worker.toml
LIST = "/root/secrets-to-look-for"
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
        "for each in $(seq 15); do ps axeww -o pid,args; "
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; sleep 0.2; done"
    )
    guest.resume()
    eventually(lambda: guest.status()["backlog"]["count"] == 0, what="all is done")
    journal = guest.shell("journalctl --no-pager -o verbose")
    assert "worker drain" in seen  # a pass was seen
    assert "CREDENTIALS_DIRECTORY=/run/credentials/" in seen  # and its environment
    assert '"event": "done"' in journal
    assert re.search(r"worker\.sandbox\.child .*thumbnail", seen)
    for secret in [*guest.secrets(NAMES), '"width": 61']:
        assert secret not in seen
        assert secret not in journal
