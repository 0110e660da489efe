"""The plugin's process: `python -m local.plugin.server [ENGINE]`; prints its port and serves."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from local.plugin.provider import OpenStackProvider

NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
WORKERS = 16


def main() -> None:
    """Serve until the engine ends the process."""
    server = grpc.server(ThreadPoolExecutor(WORKERS), options=NO_LIMIT)
    provider = OpenStackProvider(version("pulumi-openstack"))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):  # the engine sends the first
        signal.signal(number, end)
    while not ended.wait(1):  # CPython misses a signal that arrives just before it blocks
        pass
    server.stop(0)


if __name__ == "__main__":
    main()
