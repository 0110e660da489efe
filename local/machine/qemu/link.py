"""The link of a `qemu` machine: `python -m local.machine.qemu.link`, in the machine's folder.

QEMU hands over the guest's frames as datagrams (qemu(1), -netdev dgram).
"""

import signal
from pathlib import Path

from local.machine import link, machine

QEMU, OWN = "qemu.socket", "guest.socket"


def main() -> None:
    """Carry frames until the process is killed."""
    interface = machine.load_interface(Path.cwd())
    assert interface is not None  # noqa: S101
    guest = link.bind(OWN)
    link.start(interface, lambda: guest.recv(link.FRAME), lambda frame: guest.sendto(frame, QEMU))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
