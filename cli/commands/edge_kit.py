"""Write the folder from which a camera is installed on a device.

It holds the program, its settings (edge.toml), the device's broker with the bridge to the cloud,
systemd units, a Containerfile and passwords; its README.md has the commands to type on the device.
CAMERA is a name in the stack's setting `mqtt`; docs/cameras.md begins before that.
"""

from dataclasses import replace
from pathlib import Path

import click

from cli import edge_kit, options
from cli.stacks.target import Target
from cli.terminal import print_result


@click.command(help=__doc__)
@click.argument("camera", type=options.TEXT)
@click.option("--out", "folder", type=click.Path(path_type=Path), required=True, metavar="FOLDER",
              help="Where; it must not exist, or be empty.")  # fmt: skip
@click.option("--source", type=options.TEXT, default="0", show_default=True, metavar="SOURCE",
              help="A camera's index, a device, a URL, a video file, a folder.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=1884, show_default=True,
              help="Of the device's broker; each camera of a device needs another.")  # fmt: skip
@options.stack
def command(camera: str, folder: Path, source: str, port: int, target: Target) -> None:
    edge_kit.write(replace(edge_kit.read(target, camera), source=source, port=port), folder)
    print_result(f"Wrote {folder}: it holds passwords. Its README.md says what to type next.")
