"""Jobs that start programs, on a machine with systemd: what they can do, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.machine import user_data
from tests.machine.guest import COMMANDS, SECRET, Guest, eventually

PUBLIC, METADATA, PORT = "198.51.100.7", "169.254.169.254", 8099
_LISTENER = f'ThreadingHTTPServer(("", {PORT}), SimpleHTTPRequestHandler).serve_forever()'
ADDRESSES = (
    *(f"ip addr add {address}/32 dev lo" for address in (PUBLIC, METADATA)),
    "systemd-run -q --unit=listener --working-directory=/run python3 -c "
    f"'from http.server import *; {_LISTENER}'",
    f"for each in $(seq 120); do ss -ltnH | grep -q :{PORT} && break; sleep 0.5; done",
)
UNITS = "/run/systemd/system"
CREDENTIALS = "/etc/pipeline/credentials/s3-secret-key"


# One script, since the job may end between two logins.
STOP_SUPERVISOR = """
for each in $(seq 2400); do job=$(pgrep -f -o '[p]robe.py /tmp') && break; sleep 0.1; done
unit=$(sed -n 's#^0::.*/##p' /proc/$job/cgroup)
systemctl kill --signal=STOP --kill-who=main $unit && echo $unit
"""


def put(guest: Guest, pipeline: str, asked: dict[str, Any], folder: Path) -> None:
    (folder / f"{pipeline}.json").write_text(json.dumps(asked), encoding="utf-8")
    guest.checkout.pipeline("put", str(folder / f"{pipeline}.json"), "--pipeline", pipeline)


def probe(guest: Guest, pipeline: str, asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Have a job try things; return what came of it."""
    before = len(guest.rows(pipeline))
    put(guest, pipeline, asked, folder)
    eventually(lambda: len(guest.rows(pipeline)) > before, 300, f"a job of {pipeline}")
    job = guest.checkout.json("jobs", "--pipeline", pipeline, "--last", "1")[0]
    log = guest.checkout.json("jobs", "show", job["id"])["log"]
    assert job["state"] == "done", log
    return dict(json.loads(log.splitlines()[0]))


def test_jobs_can_do_what_their_settings_allow_and_no_more(guest: Guest, tmp_path: Path) -> None:
    unit = "pipeline-worker@offline.service"
    store, database = user_data.loopback_ports((guest.machine.folder / "user-data").read_text())
    guest.shell("\n".join(ADDRESSES))
    # The worker's process and credentials are there while it handles the job.
    started = f"systemctl start --no-block {unit}; systemctl show -P MainPID {unit}"
    worker = eventually(lambda: int(guest.shell(started)), what="its process")
    addresses = [
        *((PUBLIC, PORT), (METADATA, PORT), ("10.0.2.2", store)),
        *(("127.0.0.1", port) for port in (store, database, PORT)),
    ]
    asked: dict[str, Any] = {
        "paths": [
            *(CREDENTIALS, "/etc/pipeline/secrets", "/etc/pipeline/worker.toml", "/etc/shadow"),
            *(f"/run/credentials/{unit}", "/var/lib/private/pipeline/offline", "/tmp", "/root"),  # noqa: S108
            *("/var/lib/cloud/instance/user-data.txt", "/proc/1/environ"),
        ],
        "addresses": addresses,
        "processes": [worker],
        "seconds": 0,
    }
    try:
        # Root could, from the same machine: what is refused is there.
        reached = guest.shell(
            "\n".join(
                f"timeout 10 bash -c '</dev/tcp/{host}/{port}' && echo {host}:{port}"
                for host, port in addresses
            ),
            code=None,
        )
        assert reached.splitlines() == [f"{host}:{port}" for host, port in addresses]
        offline, online = (probe(guest, name, asked, tmp_path) for name in COMMANDS)
    finally:
        guest.shell("systemctl stop listener", code=None)
        for address in (PUBLIC, METADATA):
            guest.shell(f"ip addr del {address}/32 dev lo", code=None)
    for found in (offline, online):
        assert found["hello"] == "Hello, world!\n"
        assert found["package"].startswith("/opt/pipeline/prepared/venvs/")
        assert {found[path] for path in asked["paths"]} == {"refused"}, found
        assert found[str(worker)] == "refused"
    assert offline["secrets"] == {"probe-token": SECRET}
    assert online["secrets"] == {}
    assert {offline[f"{host}:{port}"] for host, port in addresses} == {"refused"}, offline
    reached_online = {
        f"{host}:{port}" for host, port in addresses if online[f"{host}:{port}"] == "reached"
    }
    assert reached_online == {f"{PUBLIC}:{PORT}", f"10.0.2.2:{store}"}


def test_nothing_is_left_of_jobs(guest: Guest, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"paths": [], "addresses": [], "processes": [], "seconds": 0}
    for name in COMMANDS:
        probe(guest, name, nothing, tmp_path)
        eventually(
            lambda: guest.shell("pgrep -cf '[s]urvivor'; true") == "0", what="the job's unit ended"
        )
    # Units of jobs end with them, but for those that wait for the next job of a pass.
    guest.pause()
    for name in COMMANDS:
        guest.shell(f"systemctl stop pipeline-worker@{name}.timer pipeline-worker@{name}.service")
    try:
        eventually(
            lambda: guest.shell("systemctl list-units -a --no-legend 'pipeline-job-*@*'") == ""
        )
        # systemd deletes a unit's own folders a moment after its end.
        folders = "ls -d /tmp/job-* /tmp/systemd-private-*-pipeline-job-* 2>/dev/null; true"
        eventually(lambda: guest.shell(folders) == "", what="their folders are gone")
    finally:
        for name in COMMANDS:
            guest.shell(f"systemctl start pipeline-worker@{name}.timer")
        guest.resume()


@pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
def test_stopped_supervisor_is_killed_with_its_job(guest: Guest, tmp_path: Path) -> None:
    """A job could stop it where the kernel lets processes of a user signal each other."""
    guest.write(f"{UNITS}/pipeline-job-offline@.service.d/soon.conf", "[Service]\nWatchdogSec=3s")
    guest.shell("systemctl daemon-reload; systemctl stop pipeline-worker@offline.service")
    before = len(guest.rows("offline"))
    nothing: dict[str, Any] = {"paths": [], "addresses": [], "processes": [], "seconds": 10}
    try:
        put(guest, "offline", nothing, tmp_path)
        unit = guest.shell(STOP_SUPERVISOR, seconds=300)
        eventually(lambda: guest.shell(f"systemctl list-units -a --no-legend {unit}") == "")
        # Another one takes longer than the watchdog waits, and is not killed.
        eventually(lambda: len(guest.rows("offline")) > before, what="the job is done")
        job = guest.checkout.json("jobs", "--pipeline", "offline", "--last", "1")[0]
        assert job["state"] == "done", job
    finally:
        guest.shell(f"rm -r {UNITS}/pipeline-job-offline@.service.d; systemctl daemon-reload")
