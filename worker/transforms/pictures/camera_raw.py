"""Recognize camera raw files, by the magic bytes of their makers or by their tags.

Most are TIFF files whose first directory is a small preview: a decoder of TIFF would take that for
the picture. Formats and makers are those that ExifTool and LibRaw recognize.
"""

from collections.abc import Sequence

from worker.errors import InvalidInput
from worker.transforms.pictures.tiff_directories import Directory

#: TIFF compressions that makers of cameras use for raw data alone.
COMPRESSIONS = {32767: "Sony", 32769: "Epson", 32770: "Samsung", 34713: "Nikon", 34892: "DNG JPEG"}
COMPRESSIONS |= {65000: "Kodak", 65535: "Pentax"}
#: TIFF photometric interpretations of raw data: TIFF/EP (ISO 12234-2) and Adobe's DNG.
PHOTOMETRICS = {32803: "CFA", 34892: "LinearRaw"}

# (offset, bytes, format)
_MAGIC = (
    (8, b"CR\x02", "Canon CR2"),
    (8, b"CR\x01", "Canon raw"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (0, b"IIU\0", "Panasonic or Leica RW2"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"\0MRM", "Minolta MRW"),
    (0, b"FOVb", "Sigma X3F"),
    (8, b"IIII", "Phase One IIQ"),
    (8, b"MMMM", "Phase One IIQ"),
    (0, b"ARRI", "ARRIRAW"),
)
# How a maker is spelled in the tag Make -> its format that is a TIFF.
_TIFF_FORMATS = {
    "NIKON": "Nikon NEF",
    "SONY": "Sony ARW",
    "PENTAX": "Pentax PEF",
    "RICOH": "Pentax PEF",
    "SAMSUNG": "Samsung SRW",
    "KODAK": "Kodak DCR",
    "HASSELBLAD": "Hasselblad 3FR",
    "MAMIYA": "Mamiya MEF",
    "EPSON": "Epson ERF",
    "LEAF": "Leaf MOS",
    "PHASE ONE": "Phase One IIQ",
    "CANON": "Canon TIF",
}
_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _MAKE, _SUB_IFDS = 254, 259, 262, 271, 330
_DNG_VERSION = 50706
_TAGS = {_DNG_VERSION: "DNGVersion", 50740: "DNGPrivateData", 33421: "CFARepeatPatternDim"}
_TAGS |= {33422: "CFAPattern", 34310: "Leaf's metadata"}
_REDUCED = 1  # a bit of NewSubfileType


def check(data: memoryview) -> None:
    """Raise InvalidInput if a file begins as a maker's camera raw files do."""
    for offset, magic, name in _MAGIC:
        if bytes(data[offset : offset + len(magic)]) == magic:
            raise InvalidInput(_reason(name))


def check_directories(directories: Sequence[Directory]) -> None:
    """Refuse a TIFF that is a camera raw file.

    Args:
        directories: Those of the whole file, also of its SubIFDs: raw data are often in one.

    Raises:
        InvalidInput: The data of a directory are raw; the reason says whose and by what.
    """
    makes = (_text(each, _MAKE) for each in directories)
    make = next(filter(None, makes), "")
    known = next((name for maker, name in _TIFF_FORMATS.items() if maker in make.upper()), "")
    if any(_DNG_VERSION in each.fields for each in directories):
        known = ", ".join(filter(None, ("Adobe DNG", make)))
    for each in directories:
        evidence = _evidence(each)
        if not evidence and known and _is_preview(each):
            evidence = "a preview before the SubIFDs"
        if evidence:
            raise InvalidInput(_reason(", ".join(filter(None, (known or make, evidence)))))


def _evidence(directory: Directory) -> str:
    for tag, name in _TAGS.items():
        if tag in directory.fields:
            return f"tag {name}"
    if name := PHOTOMETRICS.get(directory.number(_PHOTOMETRIC, -1), ""):
        return f"photometric interpretation {name}"
    if name := COMPRESSIONS.get(directory.number(_COMPRESSION, 1), ""):
        return f"{name} compression"
    return ""


def _is_preview(directory: Directory) -> bool:
    is_reduced = directory.number(_NEW_SUBFILE_TYPE, 0) & _REDUCED
    return bool(is_reduced) and _SUB_IFDS in directory.fields


def _text(directory: Directory, tag: int) -> str:
    """Return a text, without what could not be shown in a reason."""
    field = directory.fields.get(tag)
    text = bytes(field.data[:64]).split(b"\0")[0].decode("ascii", "replace") if field else ""
    return "".join(one for one in text if one.isascii() and one.isprintable()).strip()


def _reason(evidence: str) -> str:
    return (
        f"camera raw files ({evidence}) are not supported: develop the file into TIFF, PNG or JPEG"
    )
