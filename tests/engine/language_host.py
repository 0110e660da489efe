"""Runs the program as Pulumi's own Python host does, which comes with its releases only.

`install` writes the two programs that a release has beside `pulumi`. As `pulumi-language-python
ENGINE` this serves the LanguageRuntime protocol (pulumi/proto/pulumi/language.proto); each run of
the program is a process of its own, of the Python of the project's `virtualenv`, with the
environment that `pulumi` was given and nothing of ours.
"""

import asyncio
import json
import logging
import os
import runpy
import shlex
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi import runtime
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
#: Of a release: the virtual environment of Pulumi.yaml, below the folder of the project.
_DYNAMIC = (
    '#!/bin/sh\nexec "$PWD/$PULUMI_RUNTIME_VIRTUALENV/bin/python" -u -m pulumi.dynamic "$@"\n'
)


def install(folder: Path) -> None:
    """Make `folder`, for PATH, with what a release of Pulumi has for Python."""
    here = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} "$@"\n'
    folder.mkdir()
    for name, text in (
        ("pulumi-language-python", here),
        ("pulumi-resource-pulumi-python", _DYNAMIC),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    def GetRequiredPackages(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """The provider of which the local cloud has one; a release also asks for `aws`."""
        wanted = plugin_pb2.PackageDependency(
            name="openstack", kind="resource", version=version("pulumi-openstack")
        )
        return language_pb2.GetRequiredPackagesResponse(packages=[wanted])

    def Run(self, request: Any, _context: Any) -> Any:  # noqa: N802
        root = Path(request.info.root_directory)
        python = root / MessageToDict(request.info.options)["virtualenv"] / "bin" / "python"
        settings = {
            "project": request.project,
            "stack": request.stack,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "monitor": request.monitor_address,
            "engine": self._engine,
            "organization": request.organization,
            "root_directory": str(root),
        }
        program = [json.dumps(settings), request.info.program_directory]
        process = subprocess.run(
            [str(python), "-u", __file__, "--run", *program],
            cwd=request.pwd,
            env={
                **os.environ,
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            },
            check=False,
        )
        # `bail`: the program has said itself what went wrong.
        return language_pb2.RunResponse(bail=process.returncode != 0)


def serve(engine: str) -> None:
    """Print the port and answer until the engine ends us."""
    server = grpc.server(ThreadPoolExecutor(4), options=_NO_LIMIT)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop(0)


def run(settings: dict[str, Any], program: str) -> int:
    """The program, in this process; errors are reported to the engine."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(runtime.Settings(**settings))

    def main() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        asyncio.run(runtime.run_in_stack(main))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
    except Exception:  # noqa: BLE001
        pulumi.log.error(traceback.format_exc())
    else:
        return 0
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        sys.exit(run(json.loads(sys.argv[2]), sys.argv[3]))
    serve(sys.argv[-1])
