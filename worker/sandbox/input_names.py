"""The names that inputs have for a transform: those of their objects, made safe as paths."""

from collections.abc import Sequence

_MAX_BYTES = 200  # file systems take 255
_MAX_LEVELS = 16
_MAX_SUFFIX = 16


def input_paths(names: Sequence[str]) -> list[str]:
    """Return a relative path for each input.

    Args:
        names: As `TransformPool.run` takes them: anything that a store accepts.

    Returns:
        Paths that can exist side by side, without `.`, `..` and empty parts.
    """
    paths: list[str] = []
    files: set[str] = set()
    folders: set[str] = set()
    for number, name in enumerate(names):
        first, *others = [_safe(part) for part in name.split("/")]
        path = "/".join([first, *others[-_MAX_LEVELS:]])
        while path in files or path in folders or not files.isdisjoint(_folders(path)):
            path = f"_{number}/{path}"
        files.add(path)
        folders.update(_folders(path))
        paths.append(path)
    return paths


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _safe(part: str) -> str:
    shown = "".join(c if c.isprintable() else "_" for c in part)
    if shown in ("", ".", ".."):
        return "_"
    data = shown.encode(errors="replace")
    if len(data) <= _MAX_BYTES:
        return data.decode()
    stem, dot, suffix = shown.rpartition(".")
    end = f"{dot}{suffix}".encode() if stem and len(suffix) <= _MAX_SUFFIX else b""
    return (data[: _MAX_BYTES - len(end)] + end).decode(errors="ignore")
