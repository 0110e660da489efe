"""Decode and encode HEVC pictures by pillow-heif, which is there for `formats: [heic]` only."""

from io import BytesIO
from typing import Any

from worker.errors import InvalidInput
from worker.transforms.negate.picture_codec import Nclx, Pixels
from worker.transforms.pictures import heif, heif_library, hevc_data
from worker.transforms.pictures.decoding import require_memory

_QUALITY = 80  # about 50 dB against the wanted negative
# Half the time of libheif's choice, a tenth more bytes. One thread, as there is a process per core.
_ENCODING = {"preset": "medium", "x265:pools": "none"}
_SUBSAMPLING = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")  # chroma_format_idc (ITU-T H.265, 6.2)
_BYTE_BITS, _DEEPER = 8, (10, 12)
# Those of BT.709, of no name, of BT.470, BT.601 and BT.2020.
_MATRICES = (1, 2, 5, 6, 9)
_UNNAMED, _BT601 = 2, 6
_ENCODER_BYTES = 20  # for a pixel; without them x265 4.3 ends the process instead of failing


class Hevc:
    """See `Codec`."""

    name, kind = "HEIC", b"hvc1"

    def layout(self, configuration: bytes) -> tuple[int, str]:
        """See `Codec`; the configuration is that of ISO/IEC 14496-15, 8.3.2.1."""
        if len(configuration) < 23:  # noqa: PLR2004
            raise InvalidInput("the HEIC has a damaged decoder configuration")
        luma, chroma = ((configuration[at] & 7) + 8 for at in (17, 18))
        subsampling = _SUBSAMPLING[configuration[16] & 3]
        if luma not in (_BYTE_BITS, *_DEEPER) or (luma != chroma and subsampling != "4:0:0"):
            raise InvalidInput(f"the HEIC has {luma} and {chroma} bits per channel: not supported")
        return luma, subsampling

    def decode(self, file: bytes) -> Pixels:
        """See `Codec`."""
        hevc_data.check_whole(heif.read(memoryview(file)))
        image: Any = heif_library.load().open_heif(file, convert_hdr_to_8bit=False)[0]
        data, size, bits = bytes(image.data), image.size, int(image.info["bit_depth"])
        mode = "RGB" if image.mode.startswith("RGB") else "L"
        sample = 1 if bits == _BYTE_BITS else 2
        row = size[0] * len(mode) * sample
        if image.stride != row:
            rows = (data[at : at + row] for at in range(0, size[1] * image.stride, image.stride))
            data = b"".join(rows)
        return Pixels(mode, size, bits, data)

    def encode(self, pixels: Pixels, subsampling: str, nclx: Nclx) -> tuple[bytes, Nclx]:
        """See `Codec`."""
        if nclx.matrix not in _MATRICES:
            raise InvalidInput(f"the HEIC's color matrix (number {nclx.matrix}) is not supported")
        matrix = _BT601 if nclx.matrix == _UNNAMED else nclx.matrix
        made = Nclx(nclx.primaries, nclx.transfer, matrix, nclx.is_full)
        require_memory(_ENCODER_BYTES * pixels.size[0] * pixels.size[1])
        buffer = BytesIO()
        heif_library.load().encode(
            pixels.mode if pixels.bits == _BYTE_BITS else f"{pixels.mode};16",
            pixels.size,
            pixels.data,
            buffer,
            quality=_QUALITY,
            enc_params=_ENCODING,
            bit_depth=pixels.bits,
            subsampling=subsampling,
            color_primaries=made.primaries,
            transfer_characteristics=made.transfer,
            matrix_coefficients=made.matrix,
            full_range_flag=int(made.is_full),
        )
        return buffer.getvalue(), made
