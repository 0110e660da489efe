"""Read metadata with ExifTool, in one process for all files."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

#: Where segments are, or what the project negates on purpose.
_OTHERWISE = frozenset(
    {
        *("StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "JPEGTables"),
        *("MinSampleValue", "MaxSampleValue", "SMinSampleValue", "SMaxSampleValue", "GDALNoData"),
        *("SubIFD", "ThumbnailOffset", "ThumbnailLength"),
        # What ExifTool makes of the strips of a reduced or JPEG-compressed page.
        *("PreviewImage", "PreviewImageStart", "PreviewImageLength"),
    }
)


class ExifTool:
    """A running `exiftool`; a context manager."""

    def __init__(self) -> None:
        program = shutil.which("exiftool")
        assert program, "install libimage-exiftool-perl"
        command = [program, "-stay_open", "True", "-@", "-"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "ExifTool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("-stay_open\nFalse\n")
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def metadata(self, path: Path) -> dict[str, Any]:
        """Return all metadata by group and name, without what describes the file itself."""
        left_out = ["--System:all", "--File:all", "--ExifTool:all", "--Composite:all", "--ColorMap"]
        options = ["-json", "-a", "-G4:1", "-n", "-u", "-ee", *left_out]
        arguments = [*options, str(path), "-execute"]
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n".join(arguments) + "\n")
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline().rstrip("\n")) != "{ready}":
            assert line or self._process.poll() is None, "exiftool ended"
            lines.append(line)
        [found] = json.loads("\n".join(lines) or "[{}]")
        return {name: value for name, value in found.items() if name != "SourceFile"}

    def differences(self, before: Path, after: Path, apart: Sequence[str] = ()) -> list[str]:
        """Return in words which metadata differ.

        Args:
            before: The source.
            after: Its negative.
            apart: Names of fields that may differ.
        """
        old, new = self.metadata(before), self.metadata(after)
        return [
            f"ExifTool's {name}: {old.get(name)!r:.60} became {new.get(name)!r:.60}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
            and name.rpartition(":")[2] not in _OTHERWISE.union(apart)
        ]
