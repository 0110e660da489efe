"""The plugin's process: `python -m local.plugin.server [ENGINE]`; prints its port and serves."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from local.plugin.provider import OpenStackProvider

NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
WORKERS = 16
_ENDING = {signal.SIGINT, signal.SIGTERM}  # the engine sends the first


def main() -> None:
    """Serve until the engine ends the process."""
    # Blocked, a signal stays pending until `sigwait`. The engine waits for the process, which ends
    # at once: no request is pending by then, and nothing has to be saved.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    server = grpc.server(ThreadPoolExecutor(WORKERS), options=NO_LIMIT)
    provider = OpenStackProvider(version("pulumi-openstack"))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    signal.sigwait(_ENDING)
    os._exit(0)


if __name__ == "__main__":
    main()
