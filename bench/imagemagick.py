"""Find ImageMagick."""

import os
import shutil
import subprocess
from functools import cache


@cache
def find_convert() -> str | None:
    """Return the path of ImageMagick's own `convert`, not of another program of that name."""
    for folder in os.get_exec_path():
        found = shutil.which("convert", path=folder)
        if found:
            answer = subprocess.run(
                [found, "-version"], capture_output=True, text=True, check=False
            )
            if "ImageMagick Studio" in answer.stdout:
                return found
    return None
