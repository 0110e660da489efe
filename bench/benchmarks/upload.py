"""Files uploaded over HTTP: many small ones beside `aws s3 cp`, and the memory of a large one."""

import http.client
import os
import secrets
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import local as thread_local

from bench.benchmark import Result, Setup
from bench.table import Table
from bench.testbed import Testbed
from local.ports import free_port
from worker.web.tokens import bearer_token

TITLE = "Uploads over HTTP"
TEXT = """1,000 files of 280 KB go into the input bucket: through the upload API, over as many
connections as the page opens, and by `aws s3 cp --recursive`, turn by turn; the time is that of the
whole, with the start of `aws`. Then one file of 5 GiB is sent in pieces, and the largest memory of
the service (VmHWM) is compared with what it held before. The store is rclone's server."""

_AWSCLI = "awscli==1.46.3"
_FILES, _BYTES = 1000, 280_000
_CONNECTIONS = 6  # worker/web/static/upload.js
_LARGE, _QUICK_LARGE, _PIECE = 5 << 30, 64 << 20, 1 << 20


def measure(setup: Setup) -> Result:
    """Alternate both, then send the large file."""
    turns, count = (1, 50) if setup.quick else (3, _FILES)
    count = setup.count or count
    files = setup.folder / "files"
    files.mkdir()
    for number in range(count):
        (files / f"{number:06}.jpg").write_bytes(secrets.token_bytes(_BYTES))
    ours: list[float] = []
    theirs: list[float] = []
    with Testbed(setup.folder, setup.source) as bed, _service(bed) as service:
        aws = None if setup.quick else _aws(bed, setup.folder)
        service.send_all(files)  # once before: connections to store and database
        for _ in range(turns):
            ours.append(_seconds(lambda: service.send_all(files)))
            if aws:
                theirs.append(_seconds(lambda: aws(files)))
        stored = len(bed.pipeline.left())
        if stored != count:
            raise RuntimeError(f"{stored} of {count} files are in the input bucket")
        size = _QUICK_LARGE if setup.quick else _LARGE
        memory, seconds = service.send_large(size)
    figures = {"ours: s": median(ours), "5 GiB: MB above idle": memory}
    rows = [[f"the upload API, {_CONNECTIONS} connections", f"{median(ours):.2f}"]]
    if theirs:
        times = median(mine / other for mine, other in zip(ours, theirs, strict=True))
        figures |= {"aws: s": median(theirs), "times": times}
        rows.append([f"`aws s3 cp --recursive` ({_AWSCLI})", f"{median(theirs):.2f}"])
    notes = [
        f"A file of {size >> 20} MiB took {seconds:.1f} s; memory above idle: {memory:.1f} MB."
    ]
    return Result([Table("", [f"{count} files of 280 KB", "s"], rows)], figures, notes=notes)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def _service(bed: Testbed) -> Iterator["_Service"]:
    """Serve the upload API of the testbed's pipeline."""
    bed.pipeline.tables = {"web": {"max_per_minute": 1_000_000, "max_file_mb": 6000}}
    bed.pipeline.configure()
    port = free_port()
    process = bed.pipeline.start_web(port, stdout=subprocess.DEVNULL)
    try:
        yield _Service(process.pid, port, bearer_token(bed.store.secret_key, 1))
    finally:
        process.terminate()
        process.communicate(timeout=60)


class _Service:
    """The running service, and requests to it over kept connections."""

    def __init__(self, pid: int, port: int, token: str) -> None:
        self._pid, self._port, self._token = pid, port, token
        self._kept = thread_local()

    def send_all(self, folder: Path) -> None:
        """Send the files of a folder."""
        with ThreadPoolExecutor(_CONNECTIONS) as executor:
            list(executor.map(self._send, sorted(folder.iterdir())))

    def _send(self, file: Path) -> None:
        self._put(file.name, file.read_bytes(), _BYTES)

    def send_large(self, size: int) -> tuple[float, float]:
        """Send a large file; return the memory that it took in MB, and the time in seconds."""
        self._connection().close()  # an idle one, which the service has closed
        idle = self._memory("VmRSS")
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # VmHWM begins anew
        piece = secrets.token_bytes(_PIECE)
        pieces = (piece for _ in range(size // _PIECE))
        seconds = _seconds(lambda: self._put("large.bin", pieces, size))
        return self._memory("VmHWM") - idle, seconds

    def _put(self, name: str, body: bytes | Iterator[bytes], size: int) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Length": str(size)}
        connection = self._connection()
        connection.request("PUT", f"/upload/negatives/{name}", body, headers)
        response = connection.getresponse()
        text = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"the upload of {name} failed: {text.decode()}")

    def _connection(self) -> http.client.HTTPConnection:
        """Return this thread's connection."""
        if not hasattr(self._kept, "connection"):
            self._kept.connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection: http.client.HTTPConnection = self._kept.connection
        return connection

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(kib) * 1024 / 10**6


def _aws(bed: Testbed, folder: Path) -> Callable[[Path], None]:
    """Install the AWS command line beside the project: it pins other versions of packages."""
    place = folder / "aws"
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", _AWSCLI], check=True, stdout=sys.stderr)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": bed.store.access_key,
        "AWS_SECRET_ACCESS_KEY": bed.store.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
    command = [str(place / "bin" / "aws"), "--endpoint-url", bed.store.endpoint, "s3", "cp"]

    def copy(files: Path) -> None:
        target = f"s3://{bed.pipeline.input}/"
        subprocess.run(
            [*command, "--recursive", "--quiet", str(files), target], check=True, env=environment
        )

    return copy
