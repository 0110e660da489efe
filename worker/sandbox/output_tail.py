"""The end of what a process prints into a pipe: the log of its job."""

#: The most bytes of a log.
MAX_BYTES = 16 << 10
_CUT = "… (the beginning is not kept)\n"


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


def shown(data: bytes, *, is_whole: bool = True) -> str:
    """Return the end of a log: whole lines of printable characters, at most MAX_BYTES in UTF-8.

    Args:
        data: The end of what was printed.
        is_whole: Whether it has the beginning too.
    """
    text = data.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text if c != "\r")
    encoded = text.encode()  # a replaced byte takes three
    if is_whole and len(encoded) <= MAX_BYTES:
        return text
    rest = encoded[-(MAX_BYTES - len(_CUT.encode())) :].decode("utf-8", "ignore")
    return _CUT + (rest.partition("\n")[2] or rest)
