"""Compare a negative's directories with its source's: nothing but what was planned may differ."""

from collections.abc import Mapping
from pathlib import Path

from worker.transforms.negate.tiff.tags import Changes
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import tiff_directories
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.tiff_directories import Tiff
from worker.transforms.pictures.tiff_pages import (
    BITS,
    CHANNELS,
    HEIGHT,
    NEW_SUBFILE_TYPE,
    SAMPLE_FORMAT,
    WIDTH,
)

_NAMES = {WIDTH: "widths", HEIGHT: "heights", BITS: "bits", CHANNELS: "channels"}
_NAMES |= {SAMPLE_FORMAT: "sample formats", NEW_SUBFILE_TYPE: "kinds of pages"}


def check(
    before: Tiff, changes: Mapping[int, Changes], moved: Mapping[int, int], target: Path
) -> None:
    """Read a negative's directories, and compare them.

    Args:
        before: The source's directories.
        changes: The changes of its directories by their first bytes.
        moved: The new first bytes of those that have moved, by their old ones.
        target: The negative.

    Raises:
        InvalidInput: They are damaged, or anything else differs.
    """  # noqa: DOC502  raised by what it calls
    after = tiff_directories.read(MappedFile(target).data)
    check_equal("form", before.form, after.form)
    check_equal(
        "pages",
        [moved.get(page.start, page.start) for page in before.pages],
        [page.start for page in after.pages],
    )
    check_equal(
        "levels",
        [[moved.get(each.start, each.start) for each in levels] for levels in before.levels],
        [[each.start for each in levels] for levels in after.levels],
    )
    # A damaged EXIF directory may be taken for one after other bytes have changed.
    exif = {each.start: each for each in after.exif}
    starts = [each.start for each in before.exif]
    check_equal("EXIF directories", starts, [start for start in starts if start in exif])
    directories = zip(
        (*before.pictures, *before.exif),
        (*after.pictures, *(exif[start] for start in starts)),
        strict=True,
    )
    for old, new in directories:
        planned = changes.get(old.start, {})
        kept = [tag for tag in old.fields if planned.get(tag, ...) is not None]
        check_equal("tags", kept, list(new.fields))
        for tag in kept:
            field, value = new.fields[tag], planned.get(tag)
            name = _NAMES.get(tag, f"values of tag {tag}")
            expected = (
                (value.kind, value.data) if value else (old.fields[tag].kind, old.fields[tag].data)
            )
            check_equal(name, expected, (field.kind, field.data))
