"""The worker's image: what its entrypoint does, as the user that it names."""

from collections.abc import Sequence
from pathlib import Path

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.containers.images import VERSION, Image
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

PHOTO = encode(picture(), "PNG")


class InContainer(Pipeline):
    """A pipeline whose worker runs in a container."""

    image: Image

    @property
    def command(self) -> Sequence[str]:
        """What starts a worker; settings and credentials are read only."""
        return self.image.command(mounts={self.folder: f"{self.folder}:ro"})


def test_it_says_how_it_is_used(worker: Image) -> None:
    done = worker.run(*worker.config["Cmd"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m worker")


def test_it_negates_a_photo(worker: Image, open_folder: Path) -> None:
    """With the prebuilt kernels: without them it would be deferred."""
    (open_folder / "x.png").write_bytes(PHOTO)
    mounts = {open_folder: "/data"}
    done = worker.run("apply", "negate", "/data/x.png", "/data/out/", mounts=mounts)
    assert (done.returncode, done.stderr) == (0, "")
    result = open_folder / "out" / "negated_x.png"
    assert error(decode(result.read_bytes()), negated(PHOTO)) == 0
    assert result.stat().st_uid == int(worker.config["User"].split(":")[0]) != 0


def test_it_processes_a_bucket(
    worker: Image, moto: ObjectStore, database: PostgreSQL, open_folder: Path
) -> None:
    """In its sandbox, with settings and credentials that are mounted."""
    with InContainer(open_folder, moto, database, versions=True) as pipeline:
        pipeline.image, pipeline.environment = worker, worker.buildah.environment
        pipeline.migrate()
        pipeline.put("x.png", PHOTO)
        pipeline.put("broken.png", PHOTO[:-50])
        pipeline.drain()
        assert {row["key"]: row["outcome"] for row in pipeline.rows()} == {
            "x.png": "done",
            "broken.png": "quarantined",
        }
        assert error(decode(pipeline.get("negated_x.png")), negated(PHOTO)) == 0
        assert not pipeline.left()


def test_it_holds_neither_compiler_nor_installer_nor_secrets(worker: Image) -> None:
    for program in ("gcc", "cc", "pip", "pip3"):
        assert not list(worker.root.glob(f"opt/**/bin/{program}")), program
        assert not (worker.root / "usr" / "bin" / program).exists(), program
    assert not list((worker.root / "etc").glob("pipeline*"))
    assert worker.config["Labels"]["org.opencontainers.image.version"] == VERSION
