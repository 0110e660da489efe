"""A kit: the folder from which a camera is installed on a device."""

import hashlib
import json
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandError
from cli.paths import CHECKOUT
from cli.pipelines.settings_file import SettingsFile
from cli.stacks.local_stack import LocalStack
from cli.stacks.target import Target, command_line, require_finished
from infra.names import PROJECT
from infra.settings import structured
from infra.settings.interfaces import Interfaces
from local import private_file
from worker.broker import passwords

#: The user of the device's broker (edge/publisher.py).
_USER = "camera"
_TEMPLATES = CHECKOUT / "edge/kit"
#: What an edge device runs, below the checkout.
_CODE = (
    *("edge/*.py", "edge/requirements.txt", "edge/Containerfile"),
    *("worker/__init__.py", "worker/errors.py"),
    *("worker/transforms/*.py", "worker/transforms/faces/*", "worker/transforms/pictures/*.py"),
)
_PRIVATE, _PUBLIC, _PROGRAM = 0o600, 0o644, 0o755


@dataclass(frozen=True)
class Kit:
    """What a kit is made of.

    Attributes:
        stack: The stack's name.
        camera: The camera's name in the stack's settings.
        password: Its password at the cloud's broker.
        address: The cloud's broker, HOST:PORT.
        authority: The certificate of the authority that signed the broker's, PEM.
        source: What the camera is, as edge.toml has it.
        port: Of the device's broker.
        local_password: Of the device's broker.
    """

    stack: str
    camera: str
    password: str
    address: str
    authority: str
    source: str = "0"
    port: int = 1884  # Debian's own mosquitto listens on 1883
    local_password: str = ""

    @property
    def name(self) -> str:
        """What its files and units on the device are called."""
        return f"{PROJECT}-{self.camera}"

    @property
    def session(self) -> str:
        """The client id of the bridge, which other cameras cannot guess: they could end it."""
        digest = hashlib.sha256(f"session {self.password}".encode()).hexdigest()
        return f"edge-{self.camera}-{digest[:16]}"

    def filled(self, template: str, **more: str) -> str:
        """Return a file of edge/kit/ with the kit's values.

        Args:
            template: Its name.
            more: Further values, such as `credentials`.
        """
        values = {
            "stack": self.stack,
            "camera": self.camera,
            "name": self.name,
            "password": self.password,
            "session": self.session,
            "address": self.address,
            # TOML has no halves of surrogate pairs, and escapes DEL as well.
            "source": json.dumps(self.source, ensure_ascii=False).replace("\x7f", r"\u007f"),
            "port": str(self.port),
            **more,
        }
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        return re.sub("@([A-Z]+)@", lambda found: values[found[1].lower()], text)

    def broker_files(self, credentials: str, state: str) -> dict[str, str]:
        """Return the files of the device's broker by name.

        Args:
            credentials: The folder where the broker finds them.
            state: The folder where it keeps its queues.
        """
        return {
            "mosquitto.conf": self.filled("mosquitto.conf", credentials=credentials, state=state),
            "mosquitto-passwords": passwords({_USER: self.local_password}),
            "authority.pem": self.authority,
        }


def read(target: Target, camera: str) -> Kit:
    """Return the kit of a deployed stack's camera, whose source is the first camera of the device.

    Args:
        target: The stack.
        camera: The camera.

    Raises:
        CommandError: The stack has no such camera, or not yet.
    """
    outputs = target.outputs()
    known = outputs.get("cameras") or {}
    if camera not in known:
        require_finished(outputs, target.name)
        up = command_line("up", target.name)
        wanted = {"mqtt": SettingsFile(target.name).values.get("mqtt")}
        if camera in structured.read(Interfaces, wanted).cameras:
            raise CommandError(f"Camera '{camera}' is not deployed yet: '{up}' deploys it.")
        choice = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise CommandError(
            f"The stack has no camera '{camera}', {choice}: add it to `mqtt.cameras` in the "
            f"stack's settings, then run '{up}' (docs/cameras.md)."
        )
    if isinstance(target, LocalStack):
        target.report_missing_broker()
    return Kit(
        target.name,
        camera,
        known[camera]["password"],
        outputs["mqttAddress"],
        outputs["interfaceAuthority"],
        local_password=secrets.token_urlsafe(24),
    )


def write(kit: Kit, folder: Path) -> None:
    """Write a kit; the folder appears complete.

    Args:
        kit: What it is made of.
        folder: Where; it must not exist, or be empty.

    Raises:
        CommandError: It has files, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"'{folder}' exists already: remove it or name another folder.")
    part = folder.absolute().with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        private_file.make_folder(part)
        for name, (content, mode) in _files(kit).items():
            private_file.write(part / name, content, mode)
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.rename(folder)
    except OSError as error:
        raise CommandError(
            f"'{folder}' cannot be written ({error.strerror}): name another folder."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _files(kit: Kit) -> dict[str, tuple[str | bytes, int]]:
    """Return a kit's files: path -> content and mode."""
    unit = f"{kit.name}-broker.service"
    hardening = (_TEMPLATES / "hardening.conf").read_text(encoding="utf-8").rstrip()
    files: dict[str, tuple[str | bytes, int]] = {
        "README.md": (kit.filled("README.md"), _PUBLIC),
        "install": (kit.filled("install"), _PROGRAM),
        "edge.toml": (kit.filled("edge.toml"), _PRIVATE),
        "password": (f"{kit.password}\n", _PRIVATE),
        "local-password": (f"{kit.local_password}\n", _PRIVATE),
        unit: (kit.filled("broker.service", hardening=hardening), _PUBLIC),
        f"{kit.name}-camera.service": (
            kit.filled("camera.service", hardening=hardening),
            _PUBLIC,
        ),
    }
    on_device = kit.broker_files(f"/run/credentials/{unit}", f"/run/{kit.name}-broker")
    files |= {name: (text, _PRIVATE) for name, text in on_device.items()}
    for pattern in _CODE:
        for path in sorted(CHECKOUT.glob(pattern)):
            if path.is_file():
                files[f"code/{path.relative_to(CHECKOUT)}"] = (path.read_bytes(), _PUBLIC)
    return files
