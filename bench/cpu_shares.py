"""Fixed shares of a core for processes, by the kernel's cpu controller: cgroups(7)."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 50_000  # microseconds; the default is 100,000


class CpuShares:
    """Groups of processes with a share each; they go when the context ends, after their processes.

    Attributes:
        controller: What enforces the shares, None if there is none that this process may use.
    """

    def __init__(self) -> None:
        self._groups: list[Path] = []
        self._is_v2 = (_ROOT / "cgroup.controllers").exists()
        self._parent = _ROOT if self._is_v2 else _ROOT / "cpu"
        self.controller: str | None = None

    def __enter__(self) -> Self:
        with suppress(OSError):
            if self._is_v2:
                (_ROOT / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
            self._group("trial", 0.5)
            self.controller = f"cgroup v{2 if self._is_v2 else 1}"
        return self

    def __exit__(self, *_: object) -> None:
        for group in self._groups:
            group.rmdir()

    def enter(self, name: str, share: float) -> Callable[[], None]:
        """Return what a process calls to join a new group; its children stay in it.

        Args:
            name: The group's.
            share: Cores that its processes may use together.
        """
        group = self._group(name, share)
        return lambda: _write(group / "cgroup.procs", "0")

    def _group(self, name: str, share: float) -> Path:
        group = self._parent / f"image-pipeline-bench-{os.getpid()}-{name}"
        group.mkdir()
        self._groups.append(group)
        quota = str(round(share * _PERIOD))
        if self._is_v2:
            _write(group / "cpu.max", f"{quota} {_PERIOD}")
        else:
            _write(group / "cpu.cfs_period_us", str(_PERIOD))
            _write(group / "cpu.cfs_quota_us", quota)
        return group


def _write(path: Path, value: str) -> None:
    path.write_text(value, encoding="ascii")
