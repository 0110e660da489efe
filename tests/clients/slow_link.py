"""A loopback proxy that is as far from the server as another city."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 1 << 16  # bytes
_CHUNKS = 64  # that are on their way in one direction

#: When what was read is to be delivered, by the loop's clock; empty at the end of the stream.
_OnTheWay = asyncio.Queue[tuple[float, bytes]]


class SlowLink:
    """A TCP proxy that delivers every byte half a round trip later; it does not limit the rate.

    Args:
        host: The server's.
        port: The server's.
        round_trip: In seconds.
    """

    def __init__(self, host: str, port: int, round_trip: float = 0.06) -> None:
        self._server, self._round_trip = (host, port), round_trip
        self._listens = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._listens.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _listen(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._connect, "127.0.0.1")
        self.port = listener.sockets[0].getsockname()[1]
        self._listens.set()
        await self._ended.wait()
        listener.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # at the end
            await asyncio.sleep(self._round_trip)  # SYN and its answer
            from_server, to_server = await asyncio.open_connection(*self._server)
            try:
                async with asyncio.TaskGroup() as group:
                    for source, target in ((reader, to_server), (from_server, writer)):
                        on_the_way: _OnTheWay = asyncio.Queue(_CHUNKS)
                        group.create_task(self._collect(source, on_the_way))
                        group.create_task(self._deliver(on_the_way, target))
            except* OSError:  # one end was closed
                pass
            finally:
                writer.close()
                to_server.close()

    async def _collect(self, source: asyncio.StreamReader, on_the_way: _OnTheWay) -> None:
        data = b"not yet"
        while data:
            data = await source.read(_CHUNK)
            await on_the_way.put((self._loop.time() + self._round_trip / 2, data))

    async def _deliver(self, on_the_way: _OnTheWay, target: asyncio.StreamWriter) -> None:
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(due - self._loop.time())
            if not data:
                target.write_eof()
                return
            target.write(data)
            await target.drain()
