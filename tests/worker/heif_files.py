"""Write HEIF files item by item, with pictures that Pillow codes as AV1."""

import struct
from dataclasses import dataclass, field

from PIL import Image

from tests.worker.pictures import encode
from worker.transforms.pictures import boxes, heif

Property = tuple[bool, bytes]


@dataclass
class Item:
    """An item: its kind, data, properties, and what it refers to by kind."""

    kind: bytes
    data: bytes
    properties: list[Property] = field(default_factory=list)
    references: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    content_type: bytes = b""
    in_idat: bool = False


def coded(image: Image.Image, **options: object) -> Item:
    """Return a picture coded as AV1."""
    file = heif.read(memoryview(encode(image, "AVIF", **options)))
    item = file.items[file.primary]
    return Item(b"av01", item.data, [(e, file.properties[i - 1]) for e, i in item.properties])


def grid(size: tuple[int, int], columns: int, rows: int, tiles: tuple[int, ...]) -> Item:
    """Return an item that shows tiles side by side."""
    data = struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, *size)
    extent = boxes.written(b"ispe", bytes(4) + struct.pack(">2I", *size))
    return Item(b"grid", data, [(False, extent)], {b"dimg": tiles}, in_idat=True)


def auxiliary(item: Item, kind: str, of: int) -> Item:
    """Return an item as an auxiliary picture of another."""
    named = boxes.written(b"auxC", bytes(4) + kind.encode() + b"\0")
    return Item(item.kind, item.data, [*item.properties, (True, named)], {b"auxl": (of,)})


def written(items: dict[int, Item], primary: int = 1, *, groups: bytes = b"") -> bytes:
    """Return a file of these items."""
    entries, locations, references, media, inner = [], [], [], b"", b""
    properties, associations = list[bytes](), list[bytes]()
    for number, item in items.items():
        name = item.kind + b"\0" + (item.content_type + b"\0" if item.content_type else b"")
        entries.append(boxes.written(b"infe", struct.pack(">BxxxHH", 2, number, 0), name))
        for kind, targets in item.references.items():
            numbers = struct.pack(f">{len(targets) + 2}H", number, len(targets), *targets)
            references.append(boxes.written(kind, numbers))
        listed = b""
        for is_essential, whole in item.properties:
            if whole not in properties:
                properties.append(whole)
            listed += bytes([properties.index(whole) + 1 | is_essential << 7])
        if listed:
            associations.append(struct.pack(">HB", number, len(item.properties)) + listed)
        at = len(inner) if item.in_idat else len(media)
        locations.append((number, int(item.in_idat), at, len(item.data)))
        if item.in_idat:
            inner += item.data
        else:
            media += item.data

    def meta(start: int) -> bytes:
        places = b"".join(
            struct.pack(">4H2I", number, method, 0, 1, at + (0 if method else start), size)
            for number, method, at, size in locations
        )
        return boxes.written(
            b"meta",
            bytes(4),
            boxes.written(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            boxes.written(b"pitm", struct.pack(">IH", 0, primary)),
            boxes.written(b"iloc", b"\1\0\0\0\x44\0" + struct.pack(">H", len(items)) + places),
            boxes.written(b"iinf", struct.pack(">IH", 0, len(items)), *entries),
            boxes.written(b"iref", bytes(4), *references) if references else b"",
            boxes.written(
                b"iprp",
                boxes.written(b"ipco", *properties),
                boxes.written(b"ipma", struct.pack(">II", 0, len(associations)), *associations),
            ),
            boxes.written(b"idat", inner) if inner else b"",
            groups,
        )

    head = boxes.written(b"ftyp", b"avif\0\0\0\0mif1avif")
    return head + meta(len(head) + len(meta(0)) + 8) + boxes.written(b"mdat", media)
