"""Object keys of results: patterns such as `{run}/{name}.{number}.{ext}`. Pure functions."""

import re
from collections.abc import Sequence
from string import Formatter

from worker.errors import InvalidInput

#: Content type -> the extension of its files, and others that files of this type have.
_EXTENSIONS = {
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/png": ("png",),
    "image/gif": ("gif",),
    "image/tiff": ("tif", "tiff"),
    "image/webp": ("webp",),
    "image/bmp": ("bmp", "dib"),
    "image/x-portable-anymap": ("pnm", "ppm", "pgm", "pbm"),
    "text/csv": ("csv",),
    "text/plain": ("txt",),
    "application/json": ("json",),
    "application/pdf": ("pdf",),
    "application/zip": ("zip",),
    "application/gzip": ("gz", "tgz"),
    "application/x-tar": ("tar",),
    "application/java-archive": ("jar",),
    "application/jsonl": ("jsonl", "ndjson"),
    "application/yaml": ("yaml", "yml"),
    "application/xml": ("xml",),
    "application/vnd.apache.parquet": ("parquet",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("xlsx",),
    "image/svg+xml": ("svg",),
    "image/avif": ("avif",),
    "image/heic": ("heic", "heif"),
    "image/jp2": ("jp2",),
    "text/tab-separated-values": ("tsv",),
    "text/html": ("html", "htm"),
    "text/markdown": ("md",),
    "audio/wav": ("wav",),
    "audio/mpeg": ("mp3",),
    "audio/flac": ("flac",),
    "video/mp4": ("mp4",),
    "video/webm": ("webm",),
}
_UNKNOWN = "bin"
_FIELDS = ("name", "ext", "number", "run")
_SAME, _CHANGED, _SEVERAL = "{name}", "{name}.{ext}", "{name}.{number}.{ext}"
#: Where a pipeline gathers and sets none: `{name}` may be that of another run's first input.
GATHERED = f"{{run}}/{_SEVERAL}"


def check(pattern: str) -> None:
    """Check a pattern.

    Args:
        pattern: What a user set as `outputKey`.

    Raises:
        ValueError: It cannot be used; the message follows the setting's name.
    """
    remedy = "write text with {name} and, as you like, {ext}, {number} and {run}"
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError:
        raise ValueError(f"is {pattern!r}, which has a single brace: {remedy}.") from None
    found = [field for _, field, _, _ in parts if field is not None]
    plain = all(not form and not conversion for _, field, form, conversion in parts if field)
    if not plain or (unknown := [field for field in found if field not in _FIELDS]):
        shown = f"has {{{unknown[0]}}}" if plain else "has a format"
        raise ValueError(f"is {pattern!r}, which {shown}: {remedy}.")
    if "name" not in found:
        raise ValueError(f"is {pattern!r} without {{name}}, so results would collide: {remedy}.")
    if pattern.startswith("/") or re.search(r"[\x00-\x1f\x7f]", pattern):
        raise ValueError(f"is {pattern!r}, which is not a key: {remedy}, without a slash first.")


def output_keys(pattern: str, key: str, content_types: Sequence[str], run: str) -> list[str]:
    """Name the results of an input; its prefix is kept, so that results do not collide.

    Args:
        pattern: A pattern that `check` accepts, or "": `{name}` where the type stays as the input's
            extension says, `{name}.{ext}` where it changes, `{name}.{number}.{ext}` for several.
        key: The input's object key.
        content_types: The results' content types, in their order.
        run: The run's id.

    Returns:
        A key for each result.

    Raises:
        InvalidInput: There are several results, and the pattern has no `{number}`, or gives two of
            them the same key.
    """
    if pattern and len(content_types) > 1 and "{number}" not in pattern:
        raise InvalidInput(
            f"it has {len(content_types)} results, but outputKey {pattern!r} has no {{number}}"
        )
    prefix, slash, name = key.rpartition("/")
    keys = []
    for number, content_type in enumerate(content_types, 1):
        extension = _extension(name, content_type)
        chosen = pattern or _default(name, content_type, len(content_types))
        end = chosen.format(name=name, ext=extension, number=number, run=run)
        keys.append(prefix + slash + end)
    if len(set(keys)) < len(keys):
        twice = next(one for one in keys if keys.count(one) > 1)
        raise InvalidInput(
            f"two of its results have the key {twice!r}: separate the fields of outputKey"
            f" {pattern!r}, as in {_SEVERAL}"
        )
    return keys


def possible_keys(pattern: str, key: str) -> list[str]:
    """Return the key that a single result has if it keeps the input's type; [] if that is unknown.

    It is unknown where the pattern contains the run.
    """
    if "{run}" in pattern:
        return []
    prefix, slash, name = key.rpartition("/")
    extension = name.rpartition(".")[2] if "." in name else _UNKNOWN
    return [prefix + slash + (pattern or _SAME).format(name=name, ext=extension, number=1)]


def content_type_of(name: str) -> str:
    """Return the content type by a file's extension, "application/octet-stream" if unknown."""
    extension = name.rpartition(".")[2].lower()
    found = (kind for kind, extensions in _EXTENSIONS.items() if extension in extensions)
    return next(found, "application/octet-stream")


def _default(name: str, content_type: str, count: int) -> str:
    if count > 1:
        return _SEVERAL
    stays = content_type not in _EXTENSIONS or content_type_of(name) == content_type
    return _SAME if stays else _CHANGED


def _extension(name: str, content_type: str) -> str:
    """Return the input's own extension if it fits the type, else the type's usual one."""
    known = _EXTENSIONS.get(content_type, ())
    own = name.rpartition(".")[2] if "." in name else ""
    if own and (own.lower() in known or not known):
        return own
    return known[0] if known else _UNKNOWN
