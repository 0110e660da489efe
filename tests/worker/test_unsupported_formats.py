"""Known formats that are not supported are refused by their names, with what to do."""

from pathlib import Path

import pytest

from tests.worker.negation import negative
from tests.worker.pictures import encode, picture
from tests.worker.tiff_files import ASCII, BYTE, LONG, SHORT, Page, tiff
from worker.errors import InvalidInput

TGA = encode(picture(), "TGA")
SVG = b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"\xff\x0a\xfa\x1f",
            "JPEG XL is not supported: convert the file to PNG or TIFF, or to JPEG",
        ),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL is not supported"),
        (b"II\xbc\1\x08\0\0\0", "JPEG XR is not supported"),
        (TGA, "TGA is not supported"),
        (TGA[: TGA.index(b"TRUEVISION") - 8], "TGA is not supported"),
        (encode(picture(mode="P"), "TGA", rle=True)[:-26], "TGA is not supported"),
        (encode(picture(), "ICO"), "ICO is not supported"),
        (b"\0\0\2\0\1\0\x10\x10", "CUR is not supported"),
        (b"8BPS\0\1" + bytes(20), r"Photoshop \(PSD\) is not supported: export it as PNG or TIFF"),
        (b"8BPS\0\2" + bytes(20), r"Photoshop \(PSD\) is not supported"),
        (SVG, "SVG is not supported: export it"),
        (b"%PDF-1.7\n", "PDF is not supported: export its pages"),
        (bytes(128) + b"DICM", "DICOM is not supported"),
        (b"v/1\1\2\0\0\0", "OpenEXR is not supported"),
        (b"\0\0\0\x14ftypisom\0\0\0\1", "MP4 or QuickTime is not supported: extract"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"HEIC is not enabled: add formats: \[heic\]"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", r"HEIC is not enabled: add formats: \[heic\]"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1", "HEIF without a known codec is not supported"),
    ],
)
def test_the_reason_names_the_format(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=reason):
        negative(tmp_path, data)


NIKON = (ASCII, b"NIKON CORPORATION\0")


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ({271: NIKON, 262: (SHORT, (32803,))}, "Nikon NEF, photometric interpretation CFA"),
        ({271: NIKON, 259: (SHORT, (34713,))}, "Nikon NEF, Nikon compression"),
        ({271: NIKON, 50706: (BYTE, (1, 4, 0, 0))}, "Adobe DNG, NIKON CORPORATION, tag DNGVersion"),
        ({271: (ASCII, b"SONY\0"), 259: (SHORT, (32767,))}, "Sony ARW, Sony compression"),
        ({271: (ASCII, b"Make\xff\n\0"), 33422: (BYTE, (0, 1, 1, 2))}, "Make, tag CFAPattern"),
        ({262: (SHORT, (34892,))}, "photometric interpretation LinearRaw"),
    ],
)
def test_camera_raw_names_its_maker(
    page: dict[int, tuple[int, tuple[int, ...] | bytes]], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=rf"camera raw files \({reason}.*\) are not supported"):
        negative(tmp_path, tiff(Page(page)))


def test_a_cameras_preview_before_further_directories_is_raw(tmp_path: Path) -> None:
    preview = Page({271: NIKON, 254: (LONG, (1,))}, directories={330: Page()})
    with pytest.raises(InvalidInput, match="Nikon NEF, a preview before the SubIFDs"):
        negative(tmp_path, tiff(preview))


def test_raw_data_in_a_further_directory_name_the_maker(tmp_path: Path) -> None:
    sensor = Page({262: (SHORT, (32803,))})
    with pytest.raises(InvalidInput, match="Nikon NEF, photometric interpretation CFA"):
        negative(tmp_path, tiff(Page({271: NIKON}, directories={330: sensor})))


def test_a_cameras_tiff_is_a_picture(tmp_path: Path) -> None:
    assert negative(tmp_path, tiff(Page({271: NIKON})))
