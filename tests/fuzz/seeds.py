"""Small files of every kind that the kernels support, to be mutated."""

import base64
import io
import itertools
import struct
import zlib

from tests.worker.bmp_files import bmp
from tests.worker.pictures import encode, picture
from tests.worker.tiff_files import ASCII, SHORT, Page, tiff
from tests.worker.tiff_pages import gray, planar, rgb, tiled

#: Progressive, 33 x 17 pixels, 4:2:0, DC in four scans (by jpegtran -scans; Pillow writes two).
DC_BY_BITS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT0//wgARCAARACEDASIAAhEBAxEB/8QAGAABAQEBAQAAAAAAAAAAAAAAAAMBAgT/xAAX"
    "AQADAQAAAAAAAAAAAAAAAAAAAQID/9oADAMBAAIQAxAAAAPeJ3Fuy7DRL89DSZ+ol0Gb/8QAIxAAAQMCBQUAAAAAAAAA"
    "AAAAAAECAwQSBRAVITMRExQyNP/aAAgBAQABPwF9cyVvRFPBfJJehDEsLNxa1jNlNRiINnEdX24h+JOfJaRUKVCXKaO0"
    "j9heIb9Jh3EmX//aAAwDAQACAAMAAAAy7rxjfA//xAAeEQACAgAHAAAAAAAAAAAAAAAABAEDAgUQERIUI//aAAgBAgEB"
    "PwBdPjPkO22UxG538YgZzp//xAAgEQABAwIHAAAAAAAAAAAAAAADAAEEMTICBRARFTRS/9oACAEDAQE/ADm3vQwCkdii"
    "4nLfTqZVlhsbT//aAAwDAQACAAMAAAAhpFM8d8//xAAdEAACAgMAAwAAAAAAAAAAAAAAARExIVFxEGGh/9oACAEBAAE/"
    "EHRaWOCMNiBqPpTgO1uR2FUjQrcCiyz2FRbwq6fD4//aAAwDAQACAAMAAAAQcp/Cd+//2Q=="
)


def jpegs() -> dict[str, bytes]:
    """Return JPEGs: sequential, progressive, subsampled, with restarts, previews, more pictures."""
    photo = picture(1, (41, 29))
    found = {
        f"{quality}-{sampling}-{progressive}-{restarts}": encode(
            photo,
            "JPEG",
            quality=quality,
            subsampling=sampling,
            progressive=progressive,
            restart_marker_blocks=restarts,
        )
        for quality, sampling, progressive, restarts in itertools.product(
            (30, 90, 100), (0, 1, 2), (False, True), (0, 2)
        )
    }
    found["dc by bits"] = DC_BY_BITS
    found["gray"] = encode(photo.convert("L"), "JPEG", progressive=True)
    found["cmyk"] = encode(photo.convert("CMYK"), "JPEG")
    found["exif"] = encode(photo, "JPEG", exif=exif(encode(picture(2, (16, 16)), "JPEG")))
    buffer = io.BytesIO()
    photo.save(buffer, "MPO", save_all=True, append_images=[picture(3, (24, 24))])
    found["mpf"] = buffer.getvalue()
    return found


def exif(thumbnail: bytes, tail: bytes = b"") -> bytes:
    """Return an EXIF block with a thumbnail in IFD1, followed by tail."""
    first = struct.pack(">2sHIH", b"MM", 42, 8, 1) + struct.pack(">HHIHHI", 0x112, 3, 1, 6, 0, 26)
    entries = ((0x103, 3, 1, 6 << 16), (0x201, 4, 1, 68), (0x202, 4, 1, len(thumbnail)))
    second = struct.pack(">H", 3) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    return b"Exif\0\0" + first + second + struct.pack(">I", 0) + thumbnail + tail


def pngs() -> dict[str, bytes]:
    """Return PNGs of every color type, with all filters, interlaced, animated."""
    found = {
        mode: encode(picture(4, (21, 17)).convert(mode), "PNG")
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    }
    frames = [picture(seed, (12, 9), "RGBA") for seed in (5, 6, 7)]
    found["animated"] = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    for kind, depth, interlace in itertools.product((0, 2, 4, 6), (8, 16), (0, 1)):
        found[f"{kind}-{depth}-{interlace}"] = raw_png(kind, depth, interlace)
    return found


def raw_png(kind: int, depth: int, interlace: int, size: tuple[int, int] = (13, 11)) -> bytes:
    """Return a PNG with noise in rows of all filters."""
    bits = {0: 1, 2: 3, 4: 2, 6: 4}[kind] * depth
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    steps += [(0, 1, 1, 2)]
    rows, number = b"", kind
    for x, y, across, down in steps if interlace else [(0, 0, 1, 1)]:
        width, height = -(-(size[0] - x) // across), -(-(size[1] - y) // down)
        for _ in range(max(0, height) if width > 0 else 0):
            length = (width * bits + 7) // 8
            rows += bytes([number % 5]) + bytes((number * 37 + i * i) % 256 for i in range(length))
            number += 1
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlace)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def streams() -> dict[str, bytes]:
    """Return zlib streams of all kinds of blocks, and of several."""
    rows = b"".join(
        bytes([number % 5]) + picture(number, (40, 1)).tobytes() + bytes(number * 9)
        for number in range(60)
    )
    found = {}
    for level, strategy in itertools.product((0, 1, 6), (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED)):
        deflate = zlib.compressobj(level, memLevel=1 + level, strategy=strategy)
        middle = deflate.compress(rows[:3000]) + deflate.flush(zlib.Z_SYNC_FLUSH)
        found[f"{level}-{strategy}.zlib"] = middle + deflate.compress(rows) + deflate.flush()
    return found


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk with correct length and CRC."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def gifs() -> dict[str, bytes]:
    """Return GIFs of one frame and of several."""
    frames = [picture(seed, (15, 11)) for seed in (8, 9)]
    return {
        "one": encode(frames[0], "GIF"),
        "animated": encode(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0),
    }


def tiffs() -> dict[str, bytes]:
    """Return TIFFs of many kinds, with all that their directories may refer to."""
    photo = picture(10, (37, 23))
    found = {
        f"{compression}-{mode}-{predictor}": encode(
            photo.convert(mode), "TIFF", compression=compression, tiffinfo={317: predictor, 278: 9}
        )
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "zstd")
        for mode in ("L", "RGB", "CMYK")
        for predictor in (1, 2)
    }
    found["packbits"] = encode(photo, "TIFF", compression="packbits")
    found["jpeg"] = encode(photo, "TIFF", compression="jpeg")
    found["palette"] = encode(photo.quantize(16), "TIFF")
    for order, big in itertools.product("<>", (False, True)):
        pages = [gray(16), tiled(rgb(4)), planar(rgb(bits=16)), Page(directories={330: gray(12)})]
        pages[1].fields[338] = (SHORT, (2,))  # alpha
        pages[2].fields |= {42113: (ASCII, b"7\0"), 280: (SHORT, (1, 2, 3)), 281: (SHORT, (9,) * 3)}
        pages[3].directories[34665] = Page({0x9003: (ASCII, b"2026:01:02 03:04:05\0")})
        found[f"pages {order}{big}"] = tiff(*pages, order=order, big=big)
    return found


def rasters() -> dict[str, bytes]:
    """Return BMP, PNM, PAM and WebP files."""
    image = picture(10, (13, 9))
    table, gray = bytes(range(64)), b"P5 4 3 "
    found = {mode: encode(image.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    found["rle"] = bmp(8, b"\2\1\0\0\0\3\1\2\3\0\0\1", table=table, colors=16, compression=1)
    masks = (0xF00, 0xF0, 0xF, 0xF000)
    found["masks"] = bmp(16, bytes(64), size=(8, 4), compression=3, masks=masks, header=124)
    found["os2"] = bmp(8, bytes(range(8)), table=table[:48], header=12)
    for maxval, samples in ((200, bytes(12)), (255, bytes(12)), (1000, bytes(24))):
        found[f"pgm {maxval}"] = 2 * (gray + b"%d\n" % maxval + samples)
    found["plain"] = b"P3 # colors\n2 2 70\n" + b"1 2 70 " * 4 + b"# end\nP1 3 2 010\n111"
    found["pbm"] = b"P4 9 2\nabcd"
    head = b"WIDTH 3\nHEIGHT 2\nDEPTH 4\nMAXVAL 90\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    found["pam"] = b"P7\n# a comment\n" + head + bytes(range(24))
    found["webp"] = encode(image, "WEBP")
    frames = [picture(seed, (12, 9), "RGBA") for seed in (5, 6)]
    options = {"save_all": True, "append_images": frames[1:], "lossless": True}
    found["webp, animated"] = encode(frames[0], "WEBP", **options)
    return found
