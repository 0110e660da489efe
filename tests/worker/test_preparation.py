"""`worker prepare`: what a pipeline needs is downloaded, checked and installed once, or refused."""

import base64
import hashlib
import http.server
import io
import json
import signal
import socket
import subprocess
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.worker.pipeline import Pipeline

PROGRAM = "#!/bin/sh\necho hello\n"
NAME, VERSION = "tinything", "1.0"
MODULE = "VALUE = 7\n"


def zipped(files: Mapping[str, str | bytes], mode: int = 0o100644) -> bytes:
    """Return a zip of files; those below bin/ are executable."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (mode | (0o111 if name.startswith("bin/") else 0)) << 16
            packed.writestr(entry, text)
    return target.getvalue()


def make_wheel(folder: Path) -> str:
    """Write a wheel with one module and one script; return its SHA-256."""
    folder.mkdir(exist_ok=True)
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}.py": MODULE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{NAME} = base64:main\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"])
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    path.write_bytes(zipped(files))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def configure(
    pipeline: Pipeline, files: Mapping[str, str | bytes] | bytes, **settings: object
) -> None:
    """Give the pipeline a folder, as the Pulumi program does."""
    content = files if isinstance(files, bytes) else zipped(files)
    sha256 = hashlib.sha256(content).hexdigest()
    key = f".image-pipeline/folder-{sha256[:16]}.zip"
    pipeline.s3.put_object(Bucket=pipeline.quarantine, Key=key, Body=content)
    pipeline.tables = {
        "pipeline": {
            "transform": "copy",
            **settings,
        },
        "pipelines.negatives.folder": {"key": key, "sha256": sha256},
    }
    pipeline.configure()


def prepared(pipeline: Pipeline, *arguments: str) -> Path:
    """Prepare, and return the folder of what was made."""
    done = pipeline.run("prepare", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return pipeline.folder / "prepared"


def refused(pipeline: Pipeline, *arguments: str) -> str:
    """Return the sentence with which the preparation fails, and after it each pass."""
    done = pipeline.run("prepare", *arguments)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    why = f"The preparation of pipeline negatives failed: {sentence}\n"
    assert pipeline.drain(status=1).stderr == why
    assert pipeline.sql("SELECT obstacle FROM pipeline.heartbeats")[0]["obstacle"] == why.strip()
    return sentence


def locked(sha256: str) -> str:
    return f"{NAME}=={VERSION} \\\n    --hash=sha256:{sha256}\n"


@pytest.fixture
def wheel(versioned: Pipeline, tmp_path: Path) -> str:
    """Return the hash of a package that the pipeline's pip finds, and no others."""
    found = make_wheel(tmp_path / "wheels")
    versioned.environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    return found


def test_folder_is_unpacked_once_and_passes_wait_for_it(versioned: Pipeline) -> None:
    configure(versioned, {"bin/run": PROGRAM, "data/rows.csv": "1;2\n"})
    versioned.put("a.txt", b"content")
    failed = versioned.drain(status=1)
    assert failed.stderr == (
        "The preparation of pipeline negatives has not ended yet: packages and files are being "
        "installed.\n"
    )
    (folder,) = (path for path in (prepared(versioned) / "folders").iterdir() if path.is_dir())
    assert (folder / "data/rows.csv").read_text() == "1;2\n"
    assert (folder / "data/rows.csv").stat().st_mode & 0o777 == 0o644
    run = subprocess.run([folder / "bin/run"], capture_output=True, text=True, check=True)
    assert run.stdout == "hello\n"
    versioned.drain()
    assert versioned.get("a.txt") == b"content"
    for key in versioned.keys(versioned.quarantine):
        versioned.s3.delete_object(Bucket=versioned.quarantine, Key=key)
    prepared(versioned)  # the next boot needs no store


def test_changed_folder_is_prepared_beside_the_former(versioned: Pipeline) -> None:
    for text in ("1", "2"):
        configure(versioned, {"rows.csv": text})
        assert versioned.drain(status=1).stderr.endswith("are being installed.\n")
        folders = prepared(versioned) / "folders"
        versioned.drain()
    assert sorted(path.read_text() for path in folders.glob("*/rows.csv")) == ["1", "2"]


def test_folder_with_another_hash_is_refused_with_both(versioned: Pipeline) -> None:
    configure(versioned, {"rows.csv": "1"})
    (key,) = versioned.keys(versioned.quarantine)
    versioned.s3.put_object(Bucket=versioned.quarantine, Key=key, Body=b"another")
    wanted = str(versioned.tables["pipelines.negatives.folder"]["sha256"])
    sentence = refused(versioned)
    assert f" has the SHA-256 {hashlib.sha256(b'another').hexdigest()}, not {wanted}: " in sentence
    versioned.s3.delete_object(Bucket=versioned.quarantine, Key=key)
    assert "(NoSuchKey): run `./pipeline refresh` and `up`" in refused(versioned)
    configure(versioned, {"rows.csv": "1"})
    prepared(versioned)
    versioned.drain()


@pytest.mark.parametrize(
    ("name", "mode"),
    [("../out", 0o100644), ("/out", 0o100644), ("a/../../out", 0o100644), ("link", 0o120777)],
)
def test_folder_with_anything_but_files_below_it_is_refused(
    versioned: Pipeline, name: str, mode: int
) -> None:
    configure(versioned, zipped({name: "/etc/passwd"}, mode))
    sentence = refused(versioned)
    assert sentence == f"The folder has {name!r}, which is not a file below it: remove it."
    assert not list((versioned.folder / "prepared").rglob("out"))


def test_locked_packages_are_installed_for_this_pipeline(versioned: Pipeline, wheel: str) -> None:
    configure(versioned, {"requirements.txt": locked(wheel)})
    (venv,) = (path for path in (prepared(versioned) / "venvs").iterdir() if path.is_dir())
    shown = f"import {NAME}; print({NAME}.VALUE)"
    run = subprocess.run([venv / "bin/python", "-c", shown], capture_output=True, check=True)
    assert run.stdout == b"7\n"
    # Its program, too, finds the environment's Python.
    program = [venv / "bin" / NAME]
    encoded = subprocess.run(program, input=b"7", capture_output=True, check=True)
    assert encoded.stdout == b"Nw==\n"
    versioned.drain()
    # A folder that differs elsewhere shares them: nothing is installed.
    before = (venv / "pyvenv.cfg").stat().st_mtime_ns
    versioned.environment = {"PIP_NO_INDEX": "1"}
    configure(versioned, {"requirements.txt": locked(wheel), "more": ""})
    prepared(versioned)
    assert (venv / "pyvenv.cfg").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        (locked("0" * 64), "has the SHA-256 @, not " + "0" * 64),
        (f"{NAME}=={VERSION}\n", "hashes"),
        ("absent==1 --hash=sha256:" + "0" * 64 + "\n", "No matching distribution found for absent"),
    ],
    ids=["another hash", "no hash", "unknown"],
)
def test_packages_that_cannot_be_installed_are_one_sentence(
    versioned: Pipeline, wheel: str, requirements: str, words: str
) -> None:
    configure(versioned, {"requirements.txt": requirements})
    sentence = refused(versioned)
    assert sentence.startswith("The packages of requirements.txt cannot be installed: ")
    assert words.replace("@", wheel) in sentence
    configure(versioned, {"requirements.txt": locked(wheel)})
    prepared(versioned)
    versioned.drain()


def test_two_at_once_and_one_that_is_killed(versioned: Pipeline, wheel: str) -> None:
    """What is left of the killed one is replaced, once."""
    configure(versioned, {"requirements.txt": locked(wheel), "bin/run": PROGRAM})
    venvs, usual = versioned.folder / "prepared/venvs", versioned.environment
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that pip waits for
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        versioned.environment = {"PIP_INDEX_URL": address, "PIP_DEFAULT_TIMEOUT": "600"}
        killed = versioned.popen("prepare")
        eventually(lambda: list(venvs.glob("*/pyvenv.cfg")))
        killed.send_signal(signal.SIGKILL)
    killed.communicate()
    versioned.environment = usual
    assert not list(venvs.glob("*.ready"))
    both = [versioned.popen("prepare") for _ in range(2)]
    printed = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(printed).count("Installing the Python packages") == 1
    assert len(list(venvs.glob("*/pyvenv.cfg"))) == 1
    versioned.drain()


def test_debian_packages_are_installed_by_the_machines_script(
    versioned: Pipeline, tmp_path: Path
) -> None:
    script = tmp_path / "install"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n'
        f"cat {tmp_path}/answer\nexit $(cat {tmp_path}/status)\n"
    )
    script.chmod(0o755)
    (tmp_path / "answer").write_text("Reading…\nE: Unable to locate package nonesuch\n")
    (tmp_path / "status").write_text("100")
    configure(versioned, {}, apt=["nonesuch", "openjdk-17-jre-headless"])
    names = "nonesuch openjdk-17-jre-headless"
    assert refused(versioned, "--installer", str(script)) == (
        f"The Debian packages of `apt` ({names}) cannot be installed: Unable to locate package"
        " nonesuch."
    )
    assert (tmp_path / "called").read_text() == f"packages {names}\n"
    (tmp_path / "status").write_text("0")
    prepared(versioned, "--installer", str(script))
    versioned.drain()


def test_process_machine_leaves_debian_packages_out(versioned: Pipeline) -> None:
    configure(versioned, {}, apt=["openjdk-17-jre-headless"])
    done = versioned.run("prepare")
    assert "(openjdk-17-jre-headless): this computer must have them." in done.stdout
    versioned.drain()


def test_removed_environment_is_reported_and_made_again(versioned: Pipeline, wheel: str) -> None:
    configure(versioned, {"requirements.txt": locked(wheel)})
    folder = prepared(versioned)
    for path in folder.glob("folders/*"):
        subprocess.run(["rm", "-r", path], check=True)
    assert "is missing: run `worker prepare --pipeline negatives`" in versioned.drain(1).stderr
    prepared(versioned)
    versioned.drain()


@pytest.mark.parametrize(
    ("program", "remedy"),
    [
        ("nonesuch", "add the Debian package that has it to `apt`, or set argv to a file of its"),
        ("{folder}/data", "correct argv, or make the file executable (chmod +x)."),
    ],
)
def test_missing_program_is_reported_before_any_upload(
    versioned: Pipeline, program: str, remedy: str
) -> None:
    configure(
        versioned,
        {"data": "", "bin/run": PROGRAM},
        transform="command",
        parameters=json.dumps({"argv": [program]}),
    )
    versioned.put("a.txt", b"content")
    prepared(versioned)
    sentence = versioned.drain(status=1).stderr
    assert f"The program {program!r} of pipeline negatives is not found: {remedy}" in sentence
    assert versioned.left() == ["a.txt"]
    assert versioned.rows() == []


MODEL, TOKENIZER = b"a model", b'{"a": "tokenizer"}'
HUB = "hub://example/reader@v1.2"


class _Hub(http.server.BaseHTTPRequestHandler):
    """A hub that redirects to its storage, as the real one does."""

    def do_GET(self) -> None:
        files = {"model.onnx": MODEL, "tokenizer.json": TOKENIZER}
        folder, _, name = self.path.rpartition("/")
        places = {"/example/reader/resolve/v1.2": 302, "/storage": 200}
        status = places.get(folder, 404) if name in files else 404
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"/storage/{name}")
        self.end_headers()
        if status == 200:
            self.wfile.write(files[name])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture
def hub(versioned: Pipeline) -> Iterator[None]:
    """A hub that the pipeline's models come from; there are no packages."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host = f"http://127.0.0.1:{server.server_port}"
        versioned.environment = {"PIP_NO_INDEX": "1", "HF_ENDPOINT": host}
        yield
        server.shutdown()
        thread.join()


def configure_answers(pipeline: Pipeline, model: str, **changes: str) -> None:
    hashes = {
        "modelSha256": hashlib.sha256(MODEL).hexdigest(),
        "tokenizerSha256": hashlib.sha256(TOKENIZER).hexdigest(),
    }
    parameters = json.dumps({"model": model, **hashes, **changes})
    pipeline.tables = {"pipeline": {"transform": "answers", "parameters": parameters}}
    pipeline.configure()


def fetched(pipeline: Pipeline) -> list[bytes]:
    files = (pipeline.folder / "prepared/files").iterdir()
    return sorted(path.read_bytes() for path in files if not path.name.startswith("."))


@pytest.mark.parametrize("place", ["hub", "bucket"])
def test_models_are_fetched_once_and_checked(versioned: Pipeline, hub: None, place: str) -> None:
    """Before the packages, which are not to be had here."""
    if place == "bucket":
        for name, content in (("model.onnx", MODEL), ("tokenizer.json", TOKENIZER)):
            versioned.s3.put_object(Bucket=versioned.output, Key=f"reader/{name}", Body=content)
    location = HUB if place == "hub" else f"s3://{versioned.output}/reader"
    configure_answers(versioned, location)
    assert "requirements.txt cannot be installed" in refused(versioned)
    assert fetched(versioned) == sorted([MODEL, TOKENIZER])
    # Elsewhere the same model is not downloaded again: the next file is what fails.
    versioned.environment |= {"HF_ENDPOINT": "http://127.0.0.1:9"}
    configure_answers(versioned, HUB, tokenizerSha256="0" * 64)
    assert f"{HUB}/tokenizer.json cannot be downloaded" in refused(versioned)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (HUB, {"modelSha256": "0" * 64}, f"{HUB}/model.onnx has the SHA-256 @, not {'0' * 64}: "),
        (HUB, {"modelFile": "absent.onnx"}, "refuses hub://example/reader@v1.2/absent.onnx (404 "),
        ("s3://no-such-bucket/reader", {}, "reader/model.onnx in bucket no-such-bucket (NoSuchB"),
        (".", {"modelSha256": ""}, "The pipeline's folder has no file model.onnx: add it."),
    ],
    ids=["another hash", "unknown file", "unknown bucket", "no folder"],
)
def test_model_that_cannot_be_fetched_is_one_sentence(
    versioned: Pipeline, hub: None, model: str, changes: dict[str, str], words: str
) -> None:
    configure_answers(versioned, model, **changes)
    assert words.replace("@,", f"{hashlib.sha256(MODEL).hexdigest()},") in refused(versioned)


def test_hub_that_does_not_respond_is_named(versioned: Pipeline) -> None:
    versioned.environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    configure_answers(versioned, HUB)
    sentence = refused(versioned)
    assert (
        "cannot be downloaded from http://127.0.0.1:9 ([Errno 111] Connection refused)" in sentence
    )


def test_nothing_is_prepared_for_transforms_of_the_workers_own(versioned: Pipeline) -> None:
    assert not prepared(versioned).exists()
    versioned.drain()


def test_full_disk_is_one_sentence(versioned: Pipeline) -> None:
    configure(versioned, {"rows.csv": "1" * 100_000})
    versioned.largest_file = 5_000
    done = versioned.run("prepare")
    assert done.returncode == 1
    assert done.stderr == f"{versioned.folder}/prepared cannot be written: File too large.\n"
    versioned.largest_file = None
    prepared(versioned)
