"""The link of a `qemu` machine: `python -m local.machine.qemu.link`, in the machine's folder.

QEMU hands over the guest's frames as datagrams (qemu(1), -netdev dgram).
"""

import signal
import socket
from contextlib import suppress
from pathlib import Path

from local.machine import link, machine

QEMU, OWN = "qemu.socket", "guest.socket"
_FRAME = 1 << 16


def main() -> None:
    """Carry frames until the process is killed."""
    folder = Path.cwd()
    interface = machine.load_interface(folder)
    assert interface is not None  # noqa: S101
    with suppress(FileNotFoundError):
        Path(OWN).unlink()
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    guest.bind(OWN)
    link.start(
        folder, interface, lambda: guest.recv(_FRAME), lambda frame: guest.sendto(frame, QEMU)
    )
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
