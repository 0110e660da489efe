"""The end of what a process prints into a pipe: the log of its job."""

from worker.transforms.output import MAX_BYTES, shown


class OutputTail:
    """Keeps the last bytes of an output of any length."""

    def __init__(self) -> None:
        self._kept, self._is_whole = b"", True

    def add(self, data: bytes) -> None:
        """Append some bytes."""
        kept = self._kept + data
        self._kept = kept[-MAX_BYTES:]
        self._is_whole = self._is_whole and len(kept) <= MAX_BYTES

    def add_line(self, text: str) -> None:
        """Append a line of its own."""
        is_open = self._kept and not self._kept.endswith(b"\n")
        self.add(("\n" if is_open else "").encode() + text.encode() + b"\n")

    def take(self) -> str:
        """Return what was kept (see `shown`) and forget it."""
        text = shown(self._kept, is_whole=self._is_whole)
        self._kept, self._is_whole = b"", True
        return text
