"""The folder that a function or a command writes to: each file is a result."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms import MAX_RECORD_BYTES, RECORDS, Produced
from worker.transforms.output_keys import content_type_of

_MAX_LEVELS = 40  # of lists and objects inside a record


def collect(folder: Path, returned: object = None) -> Produced:
    """Return what is in the folder.

    Args:
        folder: The folder.
        returned: What a function returned: None, or records as a list of dicts.

    Returns:
        All files, sorted by name; hidden ones and `records.jsonl` aside, which holds the records
        before the returned ones. A file's extension determines its content type.

    Raises:
        InvalidInput: There is something else in the folder, or a record is not a JSON object.
    """
    try:
        return _collected(folder, returned)
    except PermissionError as error:
        raise InvalidInput(f"its results cannot be read: {error.strerror}") from error


def _collected(folder: Path, returned: object) -> Produced:
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in visible:
        if path.is_symlink() or not path.is_file():
            kind = "folder" if path.is_dir() and not path.is_symlink() else "special file"
            raise InvalidInput(
                f"its results contain the {kind} {path.name!r}: only files are results, so pack it"
                " or write it elsewhere"
            )
    files = [(path, content_type_of(path.name)) for path in visible if path.name != RECORDS]
    return Produced(files, [*_read(folder / RECORDS), *_checked(returned)])


def _read(path: Path) -> list[Mapping[str, object]]:
    if not path.exists():
        return []
    if path.stat().st_size > MAX_RECORD_BYTES:
        raise InvalidInput(f"its {RECORDS} exceeds {MAX_RECORD_BYTES >> 20} MiB")
    records: list[Mapping[str, object]] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"line {number} of {RECORDS} is not JSON: {error}") from None
            if not isinstance(record, dict):
                raise InvalidInput(f"line {number} of {RECORDS} is not a JSON object")
            if fault := _fault(record, _MAX_LEVELS):
                raise InvalidInput(f"line {number} of {RECORDS} {fault}")
            records.append(record)
    return records


def _checked(returned: object) -> list[Mapping[str, object]]:
    if returned is None:
        return []
    if not isinstance(returned, list) or not all(isinstance(one, dict) for one in returned):
        raise InvalidInput(
            f"it returned a {type(returned).__name__}: return None, or a list of dicts, its records"
        )
    for number, record in enumerate(returned, 1):
        try:
            json.dumps(record)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"record {number} that it returned is not JSON: {error}") from None
        if fault := _fault(record, _MAX_LEVELS):
            raise InvalidInput(f"record {number} that it returned {fault}")
    return returned


def _fault(value: object, levels: int) -> str:
    """Return why the database cannot store a record, "" if it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"has the number {value}: write null"
    if not levels:
        return f"is nested deeper than {_MAX_LEVELS} levels"
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(inner, Iterable) or isinstance(inner, str):
        return ""
    return next(filter(None, (_fault(one, levels - 1) for one in inner)), "")
