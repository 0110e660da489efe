"""Tries what a job must not do, and prints what came of it: `probe.py INPUT_FOLDER`.

The input is a JSON object: `paths` to read, `addresses` (host and port) to reach, `processes` to
signal, `seconds` to sleep. It leaves a process behind whose command line has the word `survivor`.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import typing_extensions

(source,) = Path(sys.argv[1]).iterdir()
asked = json.loads(source.read_text())
hello = subprocess.run(["hello"], capture_output=True, text=True, check=True).stdout
found: dict[str, object] = {"hello": hello, "package": typing_extensions.__file__}
for path in asked["paths"]:
    try:
        list(Path(path).iterdir()) if Path(path).is_dir() else Path(path).read_bytes()
        found[path] = "read"
    except OSError:
        found[path] = "refused"
for host, port in asked["addresses"]:
    try:
        # A denied address takes the whole time: four of them must fit into the job's 120 s.
        socket.create_connection((host, port), 5).close()
        found[f"{host}:{port}"] = "reached"
    except OSError:
        found[f"{host}:{port}"] = "refused"
for process in asked["processes"]:
    try:
        os.kill(process, 0)
        found[str(process)] = "signalled"
    except OSError:
        found[str(process)] = "refused"
time.sleep(asked["seconds"])
secrets = os.environ.get("CREDENTIALS_DIRECTORY")
found["secrets"] = {p.name: p.read_text() for p in Path(secrets).iterdir()} if secrets else {}
if os.fork() == 0:
    os.setsid()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)", "survivor"])
    os._exit(0)
print(json.dumps(found), flush=True)
