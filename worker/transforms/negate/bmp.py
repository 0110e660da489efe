"""Check BMP files (Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER) for what Pillow would drop."""

from worker.errors import InvalidInput

_INFO, _V3, _V5 = 40, 56, 124  # sizes of headers
_ALPHA_BITFIELDS = 6
_PROFILES = (b"DEBM", b"KNIL")  # PROFILE_EMBEDDED and PROFILE_LINKED, little-endian


def check(data: memoryview) -> None:
    """Refuse, with an InvalidInput, an alpha mask and a colour profile."""

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(data[at : at + size], "little")

    header, compression = number(14), number(30)
    has_mask = header >= _V3 or (header == _INFO and compression == _ALPHA_BITFIELDS)
    if has_mask and number(28, 2) in (16, 32) and number(66):
        raise InvalidInput("the BMP has an alpha mask, whose transparency would be lost")
    if header >= _V5 and bytes(data[70:74]) in _PROFILES:
        raise InvalidInput("the BMP has a colour profile, which would be lost")
