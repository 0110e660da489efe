"""The guest's loopback endpoints: `python -m local.machine.container_forwarder HOST READY PORT…`.

Makes the network namespace, in which it listens on 127.0.0.1 and leads each connection to the same
port of HOST. Writes a byte to the descriptor READY when it listens.
"""

import asyncio
import functools
import os
import sys
from collections.abc import Sequence

from local.machine import namespaces

_PIECE = 1 << 16


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """To the end of the one direction, which is told to the other side."""
    while data := await source.read(_PIECE):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


async def _lead(
    host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection; where the host refuses it, it is closed as if refused."""
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
        await asyncio.start_server(functools.partial(_lead, host, port), "127.0.0.1", port)
    os.write(ready, b".")
    os.close(ready)
    await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> None:
    """Serve for ever."""
    host, ready, *ports = arguments
    namespaces.separate_network()
    asyncio.run(_serve(host, [int(port) for port in ports], int(ready)))


if __name__ == "__main__":
    main(sys.argv[1:])
