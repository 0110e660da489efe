"""Negate the JPEG streams in a TIFF's segments without decoding them (TIFF Technical Note 2).

A stream lacks the tables that segments share in the tag JPEGTables. They stay as they are: a stream
that needs a code which they lack gets table K.3 of its own.
"""

from worker.errors import InvalidInput
from worker.transforms.negate import jpeg_segments, kernels, previews
from worker.transforms.negate.jpeg_segments import SOI, SUPPORTED_FRAMES, Frame
from worker.transforms.negate.kernels import JpegStatus
from worker.transforms.negate.tiff.samples import Samples

_EOI = b"\xff\xd9"
_YCBCR = 6
# Which components rise with brightness.
_ALL_COMPONENTS, _FIRST_COMPONENT, _BY_MARKERS = 0b1111, 0b0001, -1
_KEPT = 4  # the first bit of those that stay


def negated(
    stream: memoryview, tables: bytes, photometric: int, samples: Samples, rows: int
) -> bytes:
    """Return the negative of a segment's stream.

    Args:
        stream: The segment.
        tables: The value of JPEGTables; empty without it.
        photometric: The page's PhotometricInterpretation: as libtiff does, it is believed, and not
            the stream's own markers.
        samples: How the segment's samples are stored, once they are decoded.
        rows: The segment's rows.

    Returns:
        The negative stream, without the tables.

    Raises:
        InvalidInput: The stream is damaged, not supported, or has too few pixels or channels.
    """
    if stream[:2] != SOI:
        raise InvalidInput(
            "the TIFF's JPEG data is damaged: a strip or tile does not begin as such"
        )
    *_, scan = jpeg_segments.read(stream)
    _check_frame(jpeg_segments.read_frame(stream), samples, rows)
    shared = tables.removeprefix(SOI).removesuffix(_EOI)
    brightness = _FIRST_COMPONENT if photometric == _YCBCR else _ALL_COMPONENTS
    brightness |= (_ALL_COMPONENTS << samples.color_channels & _ALL_COMPONENTS) << _KEPT
    result = _negated(SOI + shared + stream[2 : scan.start], stream[scan.start :], brightness)
    return result[: len(SOI)] + result[len(SOI) + len(shared) :]


def negated_file(file: memoryview) -> bytes:
    """Return the negative of a thumbnail that is a JPEG file (tags 513 and 514).

    Raises InvalidInput if it is damaged or not supported.

    Args:
        file: The JPEG file.

    Returns:
        Its negative.
    """
    head = previews.negate_head(file)
    return _negated(head.data, file[head.scan :], _BY_MARKERS)


def _negated(head: bytes, tail: memoryview, brightness: int) -> bytes:
    for standard_tables in (False, True):
        status, result, _ = kernels.negated_jpeg(
            head, tail, standard_tables=standard_tables, brightness=brightness
        )
        if status == JpegStatus.DONE:
            return result
        if status != JpegStatus.NO_CODE:
            break
    problems = {JpegStatus.TRUNCATED: "truncated", JpegStatus.DAMAGED: "damaged"}
    problem = problems.get(status, "of a kind that is not supported")
    raise InvalidInput(f"the TIFF's JPEG data is {problem}")


def _check_frame(frame: Frame, samples: Samples, rows: int) -> None:
    """Raise InvalidInput if the stream cannot be the segment, or is not supported."""
    if frame.marker not in SUPPORTED_FRAMES:
        raise InvalidInput(f"{frame.kind} in a TIFF is not supported")
    components = len(frame.components)
    if (frame.bits, components) != (samples.bits, samples.channels):
        raise InvalidInput(
            f"the TIFF's JPEG data has {components} × {frame.bits} bits per pixel where "
            f"{samples.channels} × {samples.bits} are needed"
        )
    if frame.width < samples.columns or frame.height < rows:
        raise InvalidInput(
            f"the TIFF's JPEG data has {frame.width} × {frame.height} pixels where "
            f"{samples.columns} × {rows} are needed"
        )
