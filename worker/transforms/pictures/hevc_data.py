"""Check that the HEVC data of a HEIC are whole: libde265 1.0 makes up what is missing."""

import re

from worker.errors import InvalidInput
from worker.transforms.pictures.heif import Heif

_CODED, _CONFIGURATION = b"hvc1", b"hvcC"
_LENGTH_SIZE = 21  # the byte with lengthSizeMinusOne (ISO/IEC 14496-15, 8.3.2.1)
# What the data of a NAL unit cannot have (ITU-T H.265, 7.4.2.1), but a hole in a file has.
_IMPOSSIBLE = re.compile(rb"\0\0[\0-\2]")


def check_whole(file: Heif) -> None:
    """Refuse a file with a picture that was not written whole, as after a failed upload.

    Args:
        file: The file's items; coded pictures are NAL units, each after its length.

    Raises:
        InvalidInput: A part is missing.
    """
    for number, item in file.items.items():
        configuration = file.property(number, _CONFIGURATION) or b""
        if item.kind != _CODED or len(configuration) <= _LENGTH_SIZE:
            continue
        size, at = (configuration[_LENGTH_SIZE] & 3) + 1, 0
        while at < len(item.data):
            length = int.from_bytes(item.data[at : at + size], "big")
            at += size + length
            is_outside = not length or at > len(item.data)
            if is_outside or _IMPOSSIBLE.search(item.data, at - length, at):
                raise InvalidInput("the HEIC's picture data are damaged: a part is missing")
