"""docs/measurements.md: generated sections between markers, the rest written by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Measurements:
    """The page, and beside it the figures of each benchmark's last run (measurements.json)."""

    def __init__(self, path: Path) -> None:
        self._path, self._kept = path, path.with_suffix(".json")

    @property
    def folder(self) -> Path:
        """Folder of the page, where plots go."""
        return self._path.parent

    def figures(self) -> dict[str, dict[str, float]]:
        """Return benchmark → name → value of the last runs."""
        if not self._kept.exists():
            return {}
        found: dict[str, dict[str, float]] = json.loads(self._kept.read_text(encoding="utf-8"))
        return found

    def remember(self, name: str, figures: Mapping[str, float]) -> None:
        """Store the figures of a benchmark; those of the others stay."""
        kept: dict[str, Any] = {
            **self.figures(),
            name: {k: round(v, 4) for k, v in figures.items()},
        }
        self._kept.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Replace the section of that name; append it if there is none."""
        begin, end = f"<!-- bench {name}: generated -->", f"<!-- end of bench {name} -->"
        whole = self._path.read_text(encoding="utf-8")
        section = f"{begin}\n{text.strip()}\n{end}"
        marked = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if marked.search(whole):
            whole = marked.sub(lambda _: section, whole, count=1)
        else:
            whole = f"{whole.rstrip()}\n\n{section}\n"
        self._path.write_text(whole, encoding="utf-8")
