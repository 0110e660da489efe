"""`python -m edge check`: what is wrong is one sentence each, with a real broker behind TLS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import certificates
from tests.edge.devices import CAMERA, Broker, Device, broker
from tests.eventually import eventually
from tests.ports import reserved_port
from worker.broker import passwords

RIGHT = "right"


@dataclass(frozen=True)
class Place:
    """A device and the cloud's broker.

    Attributes:
        device: Its own broker needs a password, and says that the link is up.
        cloud: The cloud's broker.
        authority: That of the cloud's certificate.
    """

    device: Device
    cloud: Broker
    authority: str

    def check(
        self,
        *,
        authority: str = "",
        password: str = RIGHT,
        local_password: str = RIGHT,
        port: int = 0,
        cloud: str = "",
        source: str = "pictures",
    ) -> tuple[int, list[str]]:
        """Return the exit status, and the sentences on what is wrong."""
        folder = self.device.folder
        (folder / "authority.pem").write_text(authority or self.authority)
        (folder / "password").write_text(password)
        (folder / "local-password").write_text(local_password)
        self.device.port = port or self.device.port
        address = cloud or f"127.0.0.1:{self.cloud.port}"
        more = f'password_file = "local-password"\n[cloud]\naddress = "{address}"'
        self.device.configure(f'source = "{source}"', more, timeout_seconds=1)
        done = self.device.run("check")
        assert done.stderr == ""
        faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
        assert all(line.startswith(("ok ", "FAULT")) for line in done.stdout.splitlines())
        return done.returncode, [line.removeprefix("FAULT").strip() for line in faults]


def tls(folder: Path, server: str) -> str:
    """Return the configuration of a broker with TLS and one camera."""
    folder.mkdir()
    (folder / "server.pem").write_text(server)
    (folder / "passwords").write_text(passwords({CAMERA: RIGHT}))
    lines = (f"certfile {folder}/server.pem", f"keyfile {folder}/server.pem")
    return "\n".join((*lines, f"password_file {folder}/passwords"))


def with_password(folder: Path) -> str:
    folder.mkdir()
    (folder / "passwords").write_text(passwords({"camera": RIGHT}))
    return f"password_file {folder}/passwords"


@pytest.fixture(scope="module")
def authority() -> str:
    return certificates.make_authority()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("own")
    with broker(folder / "broker", with_password(folder / "files")) as made:
        yield made


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, authority: str) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("cloud")
    server = certificates.issue("server", authority, "127.0.0.1")
    with broker(folder / "broker", tls(folder / "files", server)) as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, own: Broker, cloud: Broker, authority: str) -> Place:
    device = Device(tmp_path, own.port)
    device.fill(1)
    return Place(device, cloud, certificates.public_part(authority))


def one(found: tuple[int, Sequence[str]]) -> str:
    """Return the only sentence on what is wrong."""
    status, (sentence,) = found
    assert status == 1
    return sentence


def test_everything_works(place: Place) -> None:
    assert place.check() == (0, [])


def test_wrong_password(place: Place) -> None:
    sentence = one(place.check(password="wrong"))
    assert "refuses the password of camera door: it was rotated" in sentence
    assert "wrong" not in sentence


def test_password_file_is_missing(place: Place) -> None:
    place.check()
    (place.device.folder / "password").unlink()
    done = place.device.run("check")
    assert "The password file" in done.stdout
    assert "No such file" in done.stdout


def test_wrong_password_of_the_own_broker(place: Place) -> None:
    sentence = one(place.check(local_password="wrong"))
    assert "refuses the password in local-password: install the kit again." in sentence


def test_own_broker_does_not_run(place: Place) -> None:
    sentence = one(place.check(port=reserved_port()))
    assert "cannot be reached (Connection refused): start the broker of this device." in sentence


def test_cloud_is_not_reached(place: Place) -> None:
    sentence = one(place.check(cloud=f"127.0.0.1:{reserved_port()}"))
    assert "cannot be reached (Connection refused): check the network" in sentence
    assert "mqtt.cidrs" in sentence


def test_certificate_of_another_authority(place: Place) -> None:
    other = certificates.public_part(certificates.make_authority())
    assert "write the kit again" in one(place.check(authority=other))


def test_certificate_of_another_host(place: Place) -> None:
    sentence = one(place.check(cloud=f"localhost:{place.cloud.port}"))
    assert "is for another host" in sentence


def test_authority_is_no_certificate(place: Place) -> None:
    assert "authority.pem cannot be read" in one(place.check(authority="nothing"))


def test_source_is_not_there(place: Place) -> None:
    assert "is not a file or folder: correct `source`." in one(place.check(source="nowhere"))


def test_expired_certificate_or_wrong_clock(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, place: Place, authority: str
) -> None:
    folder = tmp_path_factory.mktemp("expired")
    server = certificates.issue("server", authority, "127.0.0.1", days=-1)
    with broker(folder / "broker", tls(folder / "files", server)) as expired:
        status, sentences = place.check(cloud=f"127.0.0.1:{expired.port}")
    assert status == 1
    clock, certificate = sentences
    assert "The clock of this device shows" in clock
    assert "timedatectl set-ntp true" in clock
    assert "is valid from" in certificate
    assert "not now: set the clock, or, if that is right, renew it" in certificate


def test_while_the_camera_runs(place: Place) -> None:
    place.check()  # writes the settings
    place.device.port = reserved_port()
    place.device.configure()
    with place.device.running():
        eventually(place.device.pending)
        done = place.device.run("check")
    assert "`run` is running and uses the spool" in done.stdout
