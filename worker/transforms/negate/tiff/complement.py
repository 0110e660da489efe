"""Complement the samples of a TIFF's rows, which need not be whole bytes."""

from worker.errors import InvalidInput
from worker.transforms.negate import tiff_kernels
from worker.transforms.negate.tiff.samples import Samples

_HORIZONTAL = 2  # predictor
_LEAST_SIGNIFICANT_FIRST = 2  # fill order
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_WHOLE_BYTES = (8, 16, 32)


def mask(samples: Samples) -> bytes:
    """Return a row in which the bits of all samples to be complemented are set."""
    pixel_bits, color_bits = (
        samples.bits * channels for channels in (samples.channels, samples.color_channels)
    )
    pixel = "1" * color_bits + "0" * (pixel_bits - color_bits)
    # Eight pixels are whole bytes.
    pattern = int(pixel * 8, 2).to_bytes(pixel_bits)
    row = bytearray((pattern * -(-samples.columns // 8))[: samples.row_bytes])
    padding = samples.row_bytes * 8 - samples.columns * pixel_bits
    row[-1] &= 0xFF << padding
    is_reversed = samples.fill_order == _LEAST_SIGNIFICANT_FIRST
    return bytes(row.translate(_REVERSED) if is_reversed else row)


def complement(rows: bytearray, samples: Samples, mask: bytes) -> None:
    """Complement samples in place; with associated alpha a, a color c becomes a − c.

    Differences (predictor 2) stay differences, and are not added up.

    Args:
        rows: Whole rows.
        samples: How their samples are stored.
        mask: What `mask` returns for them.

    Raises:
        InvalidInput: A color exceeds its associated alpha, or such samples are not whole bytes.
    """
    is_big, has_differences = samples.order == "big", samples.predictor == _HORIZONTAL
    sample_bytes = samples.bits // 8
    if samples.is_premultiplied:
        if samples.bits not in _WHOLE_BYTES:
            raise InvalidInput(
                f"associated (premultiplied) alpha of {samples.bits} bits is not supported"
            )
        if not tiff_kernels.complement_premultiplied(
            rows,
            samples.columns,
            sample_bytes=sample_bytes,
            big=is_big,
            channels=samples.channels,
            color_channels=samples.color_channels,
            differences=has_differences,
        ):
            raise InvalidInput("a color exceeds the associated (premultiplied) alpha of its pixel")
    elif has_differences:
        pixel_bytes = samples.channels * sample_bytes
        tiff_kernels.complement_differences(rows, mask, pixel_bytes, sample_bytes, big=is_big)
    else:
        tiff_kernels.complement_rows(rows, mask)
