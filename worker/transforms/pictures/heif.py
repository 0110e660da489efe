"""Read and write the items of a HEIF file, HEIC or AVIF (ISO/IEC 23008-12).

A picture is an item, coded data that properties describe; others refer to it: grids of tiles,
thumbnails, auxiliary pictures such as alpha, EXIF and XMP. The boxes are those of ISO/IEC 14496-12:
`iinf` lists the items, `iloc` says where their data are, `iref` has the references, `ipco` the
properties and `ipma` which item has which.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.pictures import boxes
from worker.transforms.pictures.boxes import Box

_NAME = "HEIF file"
_META, _MEDIA, _FILE_TYPE, _FREE = b"meta", b"mdat", b"ftyp", (b"free", b"skip")
_MOVIE = (b"moov", b"moof")
_IN_FILE, _IN_ITEM_DATA, _NOWHERE = 0, 1, -1  # where an item's data are (construction methods)
_WIDE_ID = 1 << 16
_NARROW_ESSENTIAL, _WIDE_ESSENTIAL = 1 << 7, 1 << 15
_DUPLICATION = 2  # times the file's bytes that items may have together: they may overlap
_MAX_ITEMS = 10_000
_UUID_BYTES = 16


@dataclass(frozen=True)
class Item:
    """An item.

    Attributes:
        number: Its identifier.
        kind: What its data are, four bytes.
        content_type: The same for the kind `mime`.
        entry: Its box in `iinf`.
        method: Where its data are.
        data: Its data.
        properties: Whether each is essential, and its number, the first one being 1.
    """

    number: int
    kind: bytes
    content_type: bytes
    entry: bytes
    method: int
    data: bytes
    properties: Sequence[tuple[bool, int]] = ()


@dataclass(frozen=True)
class Reference:
    """That an item refers to others."""

    kind: bytes
    source: int
    targets: Sequence[int]


@dataclass(frozen=True)
class Heif:
    """A file's items and what they refer to.

    Attributes:
        file: The boxes of the file.
        meta: Those of its box `meta`.
        primary: The item that is shown.
        items: By their identifiers.
        references: Between them.
        properties: Boxes; items name them by their places, the first one being 1.
    """

    file: Sequence[Box]
    meta: Sequence[Box]
    primary: int
    items: Mapping[int, Item]
    references: Sequence[Reference]
    properties: Sequence[bytes]

    def property(self, item: int, kind: bytes, *prefixes: bytes) -> bytes | None:
        """Return the content of an item's first property of a kind, with one of these prefixes."""
        for _, index in self.items[item].properties:
            whole = self.properties[index - 1]
            if whole[4:8] == kind and (not prefixes or whole[8:].startswith(prefixes)):
                return whole[8:]
        return None

    def size(self, item: int) -> tuple[int, int]:
        """Return an item's width and height before it is turned; raise InvalidInput if unknown."""
        found = self.property(item, b"ispe")
        if found is None or len(found) != 12:  # noqa: PLR2004
            raise InvalidInput(f"the HEIF file does not say how large its item {item} is")
        return int.from_bytes(found[4:8], "big"), int.from_bytes(found[8:12], "big")

    def targets(self, kind: bytes, source: int) -> list[int]:
        """Return the items that an item refers to."""
        return [
            target
            for each in self.references
            if (each.kind, each.source) == (kind, source)
            for target in each.targets
        ]


def read(data: memoryview, *, allow_sequence: bool = False) -> Heif:
    """Read a file's items.

    Args:
        data: The file.
        allow_sequence: Whether it may have sequences of pictures, which are not read.

    Returns:
        What it has.

    Raises:
        InvalidInput: It is damaged, or has a sequence that is not allowed.
    """
    file = list(boxes.read(data, _NAME))
    if not allow_sequence and any(box.kind in _MOVIE for box in file):
        raise InvalidInput("image sequences (AVIF, HEIC) are not supported: export their frames")
    meta = list(boxes.read(_only(file, _META)[4:], _NAME))
    if int.from_bytes(_only(meta, b"iinf")[4:6], "big") > _MAX_ITEMS:
        raise InvalidInput(f"the HEIF file has more than {_MAX_ITEMS:,} items")
    entries = _entries(_only(meta, b"iinf"))
    inner = list(boxes.read(_only(meta, b"iprp"), _NAME))
    properties = [bytes(box.whole) for box in boxes.read(_only(inner, b"ipco"), _NAME)]
    associations = _associations(inner, len(properties))
    item_data = next((box.content for box in meta if box.kind == b"idat"), memoryview(b""))
    places = _Places(_only(meta, b"iloc"), data, item_data).read()
    items = {}
    for number, item in entries.items():
        method, content = places.get(number, (_NOWHERE, b""))
        its = associations.get(number, ())
        items[number] = replace(item, method=method, data=content, properties=its)
    primary = _only(meta, b"pitm")
    number = int.from_bytes(primary[4:], "big")
    references = [one for one in _references(meta) if one.source in items]
    if number not in items or not all(t in items for one in references for t in one.targets):
        raise InvalidInput("the HEIF file refers to items that it does not have")
    return Heif(file, meta, number, items, references, properties)


def write(
    heif: Heif,
    target: Path,
    changed: Mapping[int, tuple[bytes, Sequence[tuple[bool, bytes]]]],
    removed: Collection[int],
    unwanted: Collection[bytes],
) -> None:
    """Write a file with other data for some of its items.

    Args:
        heif: The file.
        target: Where it goes.
        changed: By item, its new data, and its new properties: whether each is essential, and its
            box.
        removed: Items to leave out.
        unwanted: Beginnings (see `beginning`) of the file's boxes to leave out.

    Raises:
        InvalidInput: It would be too large.
    """
    items = {number: item for number, item in heif.items.items() if number not in removed}
    properties = list(heif.properties)
    known = {whole: index for index, whole in reversed(list(enumerate(properties, 1)))}
    associations = {number: list(item.properties) for number, item in items.items()}
    for number, (_, wanted) in changed.items():
        associations[number] = []
        for is_essential, whole in wanted:
            if whole not in known:
                properties.append(whole)
                known[whole] = len(properties)
            associations[number].append((is_essential, known[whole]))
    data = {n: changed[n][0] if n in changed else item.data for n, item in items.items()}
    in_file, item_data = (
        {number: data[number] for number, item in items.items() if item.method == method}
        for method in (_IN_FILE, _IN_ITEM_DATA)
    )
    references = [
        Reference(one.kind, one.source, [t for t in one.targets if t in items])
        for one in heif.references
        if one.source in items
    ]
    before, after = _surroundings(heif, unwanted)
    properties_box = boxes.written(
        b"iprp", boxes.written(b"ipco", *properties), _associations_box(associations)
    )

    def meta(start: int) -> bytes:
        replaced = {
            b"iinf": _entries_box([item.entry for item in items.values()]),
            b"iref": _references_box(references),
            b"iprp": properties_box,
            b"iloc": _places_box(in_file, start, item_data),
            # libavif 1.4 refuses a file with an empty one.
            b"idat": boxes.written(b"idat", *item_data.values()) if item_data else b"",
            b"grpl": _groups_box(heif.meta, items),
        }
        whole = _only_box(heif.file, _META)
        return boxes.written(
            _META,
            whole.content[:4],
            *(replaced.get(box.kind, bytes(box.whole)) for box in heif.meta),
        )

    start = sum(map(len, before)) + len(meta(0)) + 8
    if start + sum(map(len, in_file.values())) >= 1 << 32:
        raise InvalidInput("the HEIF file's negative would have more than 4 GiB")
    with target.open("wb") as out:
        out.writelines((*before, meta(start), boxes.written(_MEDIA, *in_file.values()), *after))


def beginning(box: Box) -> bytes:
    """Return a box's type, and that of the type `uuid` after it."""
    return box.kind + bytes(box.content[:_UUID_BYTES])


def _surroundings(
    heif: Heif, unwanted: Collection[bytes]
) -> tuple[list[memoryview], list[memoryview]]:
    """Return the boxes before the items and after them."""
    others = [
        box.whole
        for box in heif.file
        if box.kind not in (_META, _MEDIA, _FILE_TYPE, *_FREE)
        and not beginning(box).startswith(tuple(unwanted))
    ]
    return [box.whole for box in heif.file if box.kind == _FILE_TYPE], others


def _only_box(found: Sequence[Box], kind: bytes) -> Box:
    matching = [box for box in found if box.kind == kind]
    if len(matching) != 1:
        name = kind.decode("latin-1")
        raise InvalidInput(f"the HEIF file has {len(matching) or 'no'} boxes {name}, not one")
    return matching[0]


def _only(found: Sequence[Box], kind: bytes) -> memoryview:
    content = _only_box(found, kind).content
    if len(content) < 4 and kind not in (b"iprp", b"ipco"):  # noqa: PLR2004  version and flags
        raise InvalidInput(f"the HEIF file's box {kind.decode('latin-1')} is damaged")
    return content


def _entries(content: memoryview) -> dict[int, Item]:
    version = content[0]
    found = {}
    for box in boxes.read(content[6 if version == 0 else 8 :], _NAME):
        entry = bytes(box.content)
        if box.kind != b"infe" or len(entry) < 12 or entry[0] not in (2, 3):  # noqa: PLR2004
            raise InvalidInput("the HEIF file has an item of a kind that is not supported")
        at = 6 if entry[0] == 2 else 8  # noqa: PLR2004
        number, kind = int.from_bytes(entry[4:at], "big"), entry[at + 2 : at + 6]
        names = entry[at + 6 :].split(b"\0")
        content_type = names[1] if kind == b"mime" and len(names) > 1 else b""
        found[number] = Item(number, kind, content_type, bytes(box.whole), _NOWHERE, b"")
    return found


def _entries_box(entries: Sequence[bytes]) -> bytes:
    return boxes.written(b"iinf", bytes(4), len(entries).to_bytes(2, "big"), *entries)


@dataclass
class _Fields:
    """Reads numbers one after the other."""

    data: memoryview
    at: int

    def number(self, size: int) -> int:
        """Return the next number of so many bytes; raise InvalidInput at the end."""
        self.at += size
        if self.at > len(self.data):
            raise InvalidInput("the HEIF file is truncated: a list of its items has no end")
        return int.from_bytes(self.data[self.at - size : self.at], "big")


class _Places:
    """Reads the data of items."""

    def __init__(self, content: memoryview, file: memoryview, item_data: memoryview) -> None:
        self._version = content[0]
        self._fields = _Fields(content, 4)
        self._sources = {_IN_FILE: file, _IN_ITEM_DATA: item_data}
        self._left = _DUPLICATION * len(file)

    def read(self) -> dict[int, tuple[int, bytes]]:
        """Return the construction method and the data of each item."""
        number, sizes = self._fields.number, self._fields.number(2)
        offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if self._version >= 2 else 2  # noqa: PLR2004
        found = {}
        for _ in range(number(wide)):
            item = number(wide)
            method = number(2) & 15 if self._version else _IN_FILE
            if number(2) or method not in self._sources:
                raise InvalidInput(
                    "the HEIF file has an item whose data are in another file or item"
                )
            start, pieces = number(base), list[bytes]()
            for _ in range(number(2)):
                if self._version:
                    number(index)
                pieces.append(
                    self._piece(self._sources[method], start + number(offset), number(length))
                )
            found[item] = (method, b"".join(pieces))
        return found

    def _piece(self, source: memoryview, start: int, length: int) -> bytes:
        if not length:  # up to the end
            length = max(0, len(source) - start)
        if start + length > len(source):
            raise InvalidInput("the HEIF file is truncated: an item lies beyond the file's end")
        self._left -= length
        if self._left < 0:
            raise InvalidInput("the HEIF file's items overlap")
        return bytes(source[start : start + length])


def _places_box(in_file: Mapping[int, bytes], start: int, item_data: Mapping[int, bytes]) -> bytes:
    """Return `iloc`: the data of items follow one another, in the file or in `idat`."""
    wide = 4 if max((*in_file, *item_data), default=0) >= _WIDE_ID else 2
    version = b"\2" if wide == 4 else b"\1"  # noqa: PLR2004
    pieces = [version, b"\0\0\0\x44\0", (len(in_file) + len(item_data)).to_bytes(wide, "big")]
    for method, at, contents in ((_IN_FILE, start, in_file), (_IN_ITEM_DATA, 0, item_data)):
        done = at
        for number, content in contents.items():
            pieces += [number.to_bytes(wide, "big"), method.to_bytes(2, "big"), b"\0\0\0\1"]
            pieces += [done.to_bytes(4, "big"), len(content).to_bytes(4, "big")]
            done += len(content)
    return boxes.written(b"iloc", *pieces)


def _associations(inner: Sequence[Box], count: int) -> dict[int, list[tuple[bool, int]]]:
    found = dict[int, list[tuple[bool, int]]]()
    for box in inner:
        if box.kind != b"ipma":
            continue
        fields = _Fields(box.content, 0)
        version, is_wide = fields.number(1), fields.number(3) & 1
        for _ in range(fields.number(4)):
            item = found.setdefault(fields.number(4 if version else 2), [])
            for _ in range(fields.number(1)):
                value = fields.number(2 if is_wide else 1)
                essential = _WIDE_ESSENTIAL if is_wide else _NARROW_ESSENTIAL
                index = value & (essential - 1)
                if index > count:
                    raise InvalidInput("the HEIF file refers to properties that it does not have")
                if index:
                    item.append((bool(value & essential), index))
    return found


def _associations_box(associations: Mapping[int, Sequence[tuple[bool, int]]]) -> bytes:
    """Return `ipma`, in the order of the items as it must be."""
    is_wide = any(i >= _NARROW_ESSENTIAL for each in associations.values() for _, i in each)
    size, essential = (2, _WIDE_ESSENTIAL) if is_wide else (1, _NARROW_ESSENTIAL)
    number_size = 4 if max(associations) >= _WIDE_ID else 2
    listed = {number: each for number, each in sorted(associations.items()) if each}
    head = bytes([int(number_size == 4), 0, 0, int(is_wide)])  # noqa: PLR2004
    pieces = [head, len(listed).to_bytes(4, "big")]
    for number, each in listed.items():
        pieces += [number.to_bytes(number_size, "big"), bytes([len(each)])]
        pieces += [(index | essential * is_it).to_bytes(size, "big") for is_it, index in each]
    return boxes.written(b"ipma", *pieces)


def _references(meta: Sequence[Box]) -> list[Reference]:
    found = []
    for outer in meta:
        if outer.kind != b"iref" or len(outer.content) < 4:  # noqa: PLR2004
            continue
        size = 4 if outer.content[0] else 2
        for box in boxes.read(outer.content[4:], _NAME):
            fields = _Fields(box.content, 0)
            source, count = fields.number(size), fields.number(2)
            found.append(Reference(box.kind, source, [fields.number(size) for _ in range(count)]))
    return found


def _references_box(references: Sequence[Reference]) -> bytes:
    numbers = [number for one in references for number in (one.source, *one.targets)]
    size = 4 if max(numbers, default=0) >= _WIDE_ID else 2
    inner = []
    for one in references:
        if one.targets:
            listed = (number.to_bytes(size, "big") for number in one.targets)
            head = one.source.to_bytes(size, "big") + len(one.targets).to_bytes(2, "big")
            inner.append(boxes.written(one.kind, head, *listed))
    if not inner:
        return b""
    return boxes.written(b"iref", bytes([int(size == 4), 0, 0, 0]), *inner)  # noqa: PLR2004


def _groups_box(meta: Sequence[Box], items: Collection[int]) -> bytes:
    """Return `grpl` without groups that have items which are left out."""
    kept = []
    for outer in meta:
        if outer.kind == b"grpl":
            for box in boxes.read(outer.content, _NAME):
                fields = _Fields(box.content, 8)
                members = [fields.number(4) for _ in range(fields.number(4))]
                if all(member in items for member in members):
                    kept.append(box.whole)
    return boxes.written(b"grpl", *kept) if kept else b""


def single(kind: bytes, data: bytes, properties: Sequence[tuple[bool, bytes]]) -> bytes:
    """Return a file with one picture.

    Args:
        kind: Of its coded data.
        data: Those.
        properties: Whether each is essential, and its box.

    Returns:
        The file.
    """
    brand = b"avif" if kind == b"av01" else b"heic"
    entry = boxes.written(b"infe", b"\2\0\0\0\0\1\0\0", kind, b"\0")
    listed = [(is_essential, index) for index, (is_essential, _) in enumerate(properties, 1)]

    def meta(start: int) -> bytes:
        return boxes.written(
            _META,
            bytes(4),
            boxes.written(b"hdlr", bytes(8), b"pict", bytes(13)),
            boxes.written(b"pitm", b"\0\0\0\0\0\1"),
            _places_box({1: data}, start, {}),
            _entries_box([entry]),
            boxes.written(
                b"iprp",
                boxes.written(b"ipco", *(whole for _, whole in properties)),
                _associations_box({1: listed}),
            ),
        )

    head = boxes.written(_FILE_TYPE, brand, bytes(4), b"mif1", brand)
    return head + meta(len(head) + len(meta(0)) + 8) + boxes.written(_MEDIA, data)
