"""Pages of TIFF files of 8 × 6 pixels, for `tiff_files.tiff`."""

from tests.worker.tiff_files import SHORT, Page, Values

Fields = dict[int, tuple[int, Values]]


def rgb(channels: int = 3, bits: int = 8, photometric: int = 2) -> Page:
    """Return a page, by default RGB with 8 bits."""
    fields: Fields = {
        258: (SHORT, (bits,) * channels),
        262: (SHORT, (photometric,)),
        277: (SHORT, (channels,)),
    }
    size = (8 * channels * bits + 7) // 8 * 6
    return Page(fields, [bytes(i * 7 % 251 for i in range(size))])


def gray(bits: int) -> Page:
    """Return a page of gray, MinIsBlack."""
    return rgb(1, bits, 1)


def having(page: Page, tag: int, kind: int, values: Values) -> Page:
    """Return the page with another field."""
    page.fields[tag] = (kind, values)
    return page


def planar(page: Page) -> Page:
    """Return the page with a plane for each channel."""
    whole, channels = page.segments[0], len(page.fields[258][1])
    size = len(whole) // channels
    page.segments = [whole[i : i + size] for i in range(0, len(whole), size)]
    return having(page, 284, SHORT, (2,))


def tiled(page: Page, tiles: int = 1) -> Page:
    """Return the page as a tile of 16 × 16 pixels, repeated more often than it should be."""
    row = len(page.segments[0]) // 6
    rows = [page.segments[0][i : i + row].ljust(2 * row, b"\0") for i in range(0, 6 * row, row)]
    tile = b"".join(rows).ljust(32 * row, b"\0")
    return Page(page.fields, [tile] * tiles, tiled=True)


def compressed(page: Page, compression: int, code: bytes) -> Page:
    """Return the page with its only strip or tile compressed."""
    page.segments = [code]
    return having(page, 259, SHORT, (compression,))


def packed(page: Page) -> Page:
    """Return the page compressed by PackBits, as literals of at most 128 bytes."""
    data = page.segments[0]
    runs = (data[at : at + 128] for at in range(0, len(data), 128))
    return compressed(page, 32773, b"".join(bytes([len(run) - 1]) + run for run in runs))
