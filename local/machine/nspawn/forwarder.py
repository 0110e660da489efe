"""The guest's networks: `python -m local.machine.nspawn.forwarder HOST READY PORT...`.

It makes the guest's network namespace, listens there on 127.0.0.1 and forwards each connection to
the same port of HOST; it also carries the frames of the guest's link to the cloud's other machines.
It writes a byte to the file descriptor READY once it listens.
"""

import asyncio
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local.machine import link, machine
from local.machine.nspawn import namespaces
from local.machine.nspawn.network import LINK_DEVICE

_PIECE = 1 << 16


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy one direction, and its end too."""
    while data := await source.read(_PIECE):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


async def _forward(
    host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Forward one connection; one that the host refuses is closed."""
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            far_writer.close()
    except* OSError:
        pass  # the other side sees the end of its connection
    finally:
        writer.close()


async def _serve(host: str, ports: Sequence[int], ready: int) -> None:
    for port in ports:
        await asyncio.start_server(functools.partial(_forward, host, port), "127.0.0.1", port)
    os.write(ready, b".")
    os.close(ready)
    await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> None:
    """Forward until the process is killed; the machine's folder is the current one."""
    host, ready, *ports = arguments
    namespaces.separate_network()
    if interface := machine.load_interface(Path.cwd()):
        tap = namespaces.open_tap(LINK_DEVICE, interface.mac)
        link.start(interface, lambda: os.read(tap, link.FRAME), lambda frame: os.write(tap, frame))
    asyncio.run(_serve(host, [int(port) for port in ports], int(ready)))


if __name__ == "__main__":
    main(sys.argv[1:])
