"""Name the formats of pictures, documents and videos that are known but not supported.

The first bytes are those of file(1) and of the Library of Congress's descriptions of formats.
"""

import re

from worker.errors import InvalidInput

_BEGINNING = 4096  # bytes that are looked at
_CONVERT = "convert the file to PNG or TIFF"
_EXPORT = "export it as PNG or TIFF"
_VIDEO = "extract its frames as PNG or JPEG"
# Name, first bytes, remedy. A general pattern comes after those that it would hide.
_UNSUPPORTED = (
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", f"{_CONVERT}, or to JPEG"),
    ("JPEG XR", rb"II\xbc", _CONVERT),
    ("ICO", rb"\0\0\x01\0[^\0]\0", _CONVERT),
    ("CUR", rb"\0\0\x02\0[^\0]\0", _CONVERT),
    ("ICNS", rb"icns", _CONVERT),
    ("Photoshop (PSD)", rb"8BPS\0[\x01\x02]", _EXPORT),
    ("GIMP (XCF)", rb"gimp xcf", _EXPORT),
    ("SVG", rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^<]*)*<(?:svg|svg:svg)[\s>]", _EXPORT),
    ("PDF", rb"%PDF-", "export its pages as PNG or TIFF"),
    ("PostScript", rb"%!PS|\xc5\xd0\xd3\xc6", _EXPORT),
    ("OpenEXR", rb"v/1\x01", _CONVERT),
    ("Radiance HDR", rb"#\?(?:RADIANCE|RGBE)", _CONVERT),
    ("DICOM", rb".{128}DICM", "export its pixels as TIFF"),
    ("FITS", rb"SIMPLE  = ", "export its pixels as TIFF"),
    ("DDS", rb"DDS \x7c\0\0\0", _CONVERT),
    ("PCX", rb"\x0a[\0-\x05]\x01[\x01\x02\x04\x08]", _CONVERT),
    ("Sun raster", rb"\x59\xa6\x6a\x95", _CONVERT),
    ("SGI", rb"\x01\xda[\0\x01][\x01\x02]\0[\x01-\x03]", _CONVERT),
    ("QOI", rb"qoif", _CONVERT),
    ("MNG", rb"\x8aMNG\r\n\x1a\n", _CONVERT),
    ("JNG", rb"\x8bJNG\r\n\x1a\n", _CONVERT),
    ("XPM", rb"/\* XPM \*/", _CONVERT),
    ("DjVu", rb"AT&TFORM", _EXPORT),
    ("BPG", rb"BPG\xfb", _CONVERT),
    ("FLIF", rb"FLIF", _CONVERT),
    ("WMF", rb"\xd7\xcd\xc6\x9a", _EXPORT),
    ("EMF", rb"\x01\0\0\0.{36} EMF", _EXPORT),
    ("HEIF without a known codec", rb".{4}ftypm(?:if|sf)[12]", _CONVERT),
    ("AVI", rb"RIFF.{4}AVI ", _VIDEO),
    ("Matroska or WebM", rb"\x1a\x45\xdf\xa3", _VIDEO),
    ("MP4 or QuickTime", rb".{4}(?:ftyp|moov|mdat|wide)", _VIDEO),
)
# Truevision TGA 2.0: the footer of newer files, and the header of older ones, which have no magic:
# length of an identifier, kind of the map and of the picture, the map, origin, size, bits, flags.
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
_TGA_HEADER = (
    rb".(?:\0[\x02\x03\x0a\x0b]\0{5}|\x01[\x01\x09]...[\0\x01][\x0f\x10\x18\x20])"
    rb".{4}(?!\0\0)..(?!\0\0)..[\x08\x0f\x10\x18\x20][\0-\x3f]"
)


def check(data: memoryview) -> None:
    """Raise InvalidInput if a file has one of these formats; the reason names it and a remedy."""
    beginning = bytes(data[:_BEGINNING])
    for name, magic, remedy in _UNSUPPORTED:
        if re.match(magic, beginning, re.DOTALL):
            raise InvalidInput(f"{name} is not supported: {remedy}")
    if data[-len(_TGA_FOOTER) :] == _TGA_FOOTER or re.match(_TGA_HEADER, beginning, re.DOTALL):
        raise InvalidInput(f"TGA is not supported: {_CONVERT}")
