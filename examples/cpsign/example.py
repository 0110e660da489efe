"""What the example needs before it runs: CPSign and the compiled programs, and a MariaDB."""

import getpass
import hashlib
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from molecules import make_rows

from cli.errors import CommandError
from cli.examples.interface import Plan, Results, Setup
from cli.terminal import spinner

_MOLECULES = 240
_SEED = 1
_COMPILER = "ecj-"
_PACKAGES = {
    "java": "default-jre-headless",
    "mvn": "maven",
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
}
#: Where Debian has programs that a user's PATH may leave out.
_PATH = ("/usr/sbin", "/usr/local/sbin")


def prepare(setup: Setup, plan: Plan) -> Plan:
    """Make the pipelines' folder, start the database."""
    _check_programs()
    folder = setup.folder / "program"
    _make_program(setup, folder)
    database = _start_database(setup)
    pipelines = {
        name: {**definition, "folder": str(folder)} for name, definition in plan.pipelines.items()
    }
    pipelines["ingest"]["allow"] = [f"{setup.host}/32"]
    return replace(plan, pipelines=pipelines, secrets={"source-database": database})


def show(results: Results) -> None:
    """Show the measured validity of each run's model."""
    results.sql(
        "select run_id, data->>'confidence' as confidence, data->>'accuracy' as accuracy, "
        "data->>'single' as single from command where pipeline = 'model' "
        "and data->>'confidence' in ('0.7', '0.8', '0.9') order by 1, 2"
    )
    for picture in results.files("model"):
        if picture.suffix == ".svg":
            results.say(f"Validity plot: {picture}")


def _make_program(setup: Setup, folder: Path) -> None:
    """Put together what the machine gets: scripts, jars and compiled classes."""
    jars = _fetch_jars(setup)
    shutil.copytree(_compile(setup, jars), folder / "classes")
    shutil.copytree(jars, folder / "lib", ignore=shutil.ignore_patterns(f"{_COMPILER}*"))
    for path in setup.source.iterdir():
        if path.suffix in {".py", ".txt", ".options"} and path.name != "example.py":
            shutil.copyfile(path, folder / path.name)


def _compile(setup: Setup, jars: Path) -> Path:
    """Return a folder with the classes of our Java programs, compiled once."""
    sources = sorted(setup.source.glob("*.java"))
    contents = b"".join(source.read_bytes() for source in sources) + jars.name.encode()
    kept = setup.cache / f"classes-{hashlib.sha256(contents).hexdigest()[:16]}"
    if not kept.is_dir():
        made = setup.folder / "classes"
        with spinner("Compiling the Java programs"):
            _run(
                *(_program("java"), "-jar", next(jars.glob(f"{_COMPILER}*"))),
                *("-17", "-proc:none", "-nowarn", "-d", made),
                *("-cp", ":".join(str(jar) for jar in sorted(jars.iterdir()))),
                *sources,
            )
        _keep(made, kept)
    return kept


def _fetch_jars(setup: Setup) -> Path:
    """Return a folder with the jars of jars.txt, fetched from Maven Central once."""
    wanted = _listed_jars(setup.source / "jars.txt")
    listed = hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()
    kept = setup.cache / f"jars-{listed[:16]}"
    if kept.is_dir() and _hashes(kept) == wanted:
        return kept
    fetched = setup.folder / "jars"
    with spinner(f"Fetching {len(wanted)} jars of CPSign with Maven, once"):
        _run(
            *(_program("mvn"), "--quiet", "--batch-mode", "--file", setup.source / "pom.xml"),
            *("dependency:copy-dependencies", "-DincludeScope=runtime"),
            f"-DoutputDirectory={fetched}",
        )
    found = _hashes(fetched)
    wrong = sorted({*found.items()} ^ {*wanted.items()})
    if wrong:
        raise CommandError(
            f"Maven fetched other files than jars.txt lists, first {wrong[0][0]}: nothing of them "
            "is used; check which repository your Maven reads."
        )
    shutil.rmtree(kept, ignore_errors=True)
    _keep(fetched, kept)
    return kept


def _keep(made: Path, kept: Path) -> None:
    """Move a folder into the cache, whole or not at all: another demo may do the same."""
    part = Path(tempfile.mkdtemp(dir=kept.parent, prefix="part-"))
    shutil.move(made, part)
    with suppress(OSError):  # it is there already
        (part / made.name).rename(kept)
    shutil.rmtree(part)


def _listed_jars(file: Path) -> dict[str, str]:
    """Return name -> SHA-256 of a list that `sha256sum --check` reads."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {name: sha256 for sha256, name in lines}


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def _start_database(setup: Setup) -> str:
    """Start a MariaDB with molecules; return the URL of a user who may only read."""
    server, password = _program("mariadbd"), secrets.token_urlsafe(24)
    data, script = setup.folder / "mariadb", setup.folder / "molecules.sql"
    script.touch(mode=0o600)
    script.write_text(_sql(password), encoding="utf-8")
    user = f"--user={getpass.getuser()}"
    with spinner("Starting a MariaDB with molecules"):
        options = ("--no-defaults", "--skip-test-db", f"--datadir={data}", user)
        _run(_program("mariadb-install-db"), *options)
        port = setup.start_server(
            "mariadbd",
            lambda port: [
                *(server, "--no-defaults", user, f"--datadir={data}", f"--port={port}"),
                *("--bind-address=127.0.0.1", "--socket=mariadb.sock", f"--init-file={script}"),
                *("--performance-schema=OFF", "--innodb-buffer-pool-size=16M"),
            ],
        )
    # Its socket exists before it has run the script; it greets a client after that.
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        if not client.recv(1):
            raise CommandError(f"MariaDB did not take its data: see {setup.folder}/mariadbd.log.")
    script.unlink()
    return f"mysql://reader:{password}@{setup.host}:{port}/chemistry"


def _sql(password: str) -> str:
    rows = make_rows(_MOLECULES, _SEED)
    smiles = ", ".join(f"({number}, '{text}')" for number, (text, _) in enumerate(rows))
    values = ", ".join(f"({number}, 'logD', {value})" for number, (_, value) in enumerate(rows))
    return "\n".join(
        [
            "create database chemistry;",
            "create table chemistry.molecules (molecule int primary key, smiles text not null);",
            "create table chemistry.activities (molecule int, assay varchar(20), value double);",
            f"insert into chemistry.molecules values {smiles};",  # noqa: S608
            f"insert into chemistry.activities values {values};",  # noqa: S608
            f"create user reader identified by '{password}';",
            "grant select on chemistry.* to reader;",
        ]
    )


def _check_programs() -> None:
    missing = [name for name in _PACKAGES if _find(name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(_PACKAGES[name] for name in missing))
        raise CommandError(
            f"This example needs {', '.join(missing)}, not found on this computer: install "
            f"{packages} (Debian's names)."
        )


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=":".join(_PATH))


def _program(name: str) -> str:
    return _find(name) or name


def _run(*argv: str | Path) -> None:
    """Run a program; raise CommandError with the end of its output if it fails."""
    words: Sequence[str] = [str(word) for word in argv]
    answer = subprocess.run(words, check=False, capture_output=True, text=True)
    if answer.returncode:
        printed = (answer.stdout + answer.stderr).strip().splitlines() or ["it printed nothing"]
        raise CommandError(f"{Path(words[0]).name} failed: " + "\n".join(printed[-5:]))
