"""Forms with files (multipart/form-data, RFC 7578), read as they arrive."""

from collections.abc import AsyncIterable, AsyncIterator
from http import HTTPStatus
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

_MEDIA_TYPE = b"multipart/form-data"
_REMEDY = (
    "send the whole form again, for instance by curl -F file=@cat.jpg, which sets length and "
    "boundary"
)
_WRONG_TYPE = (
    "The body is not multipart/form-data: send files by curl -F file=@cat.jpg, or a single one by "
    "curl -T cat.jpg …/upload/PIPELINE/cat.jpg."
)
_FILE = "write curl -F file=@cat.jpg, with @"
_MAX_TEXT = 1024  # bytes of a field that is no file
_MAX_EPILOGUE = 1 << 10  # bytes after the closing boundary, which RFC 2046 allows and nobody sends


class Text(NamedTuple):
    """A field that is no file. Attributes: its name and its value."""

    name: str
    value: str


class File(NamedTuple):
    """A file begins. Attributes: its name, with folders if the browser sent a whole one; its type.

    Its content follows in pieces, then `FileEnd`.
    """

    name: str
    content_type: str


class FileEnd(NamedTuple):
    """The file ends."""


Part = Text | File | bytes | FileEnd


async def parts(content_type: str, body: AsyncIterable[bytes]) -> AsyncIterator[Part]:
    """Read a form.

    Args:
        content_type: The request's Content-Type.
        body: Its body.

    Yields:
        The fields of the form, in their order, without those where no file was chosen.

    Raises:
        HTTPException: The body is no such form, or does not end with its closing boundary.
    """
    reader = _Reader(content_type)
    surplus = 0
    async for piece in body:
        surplus = surplus + len(piece) if reader.is_closed else 0
        if surplus > _MAX_EPILOGUE:
            break
        for part in reader.read(piece):
            yield part
    if surplus > _MAX_EPILOGUE or not reader.is_closed:
        what = "goes on after" if reader.is_closed else "ends before"
        text = f"The form {what} its closing boundary: {_REMEDY}."
        raise HTTPException(HTTPStatus.BAD_REQUEST, text)


class _Reader:
    """The parser, with what it found in the piece that it read last."""

    def __init__(self, content_type: str) -> None:
        media_type, options = parse_options_header(content_type)
        if media_type != _MEDIA_TYPE:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _WRONG_TYPE)
        if not options.get(b"boundary"):
            text = f"The Content-Type names no boundary: {_REMEDY}."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)
        self.is_closed = False
        self._found: list[Part] = []
        self._field: str | None = None  # the name of a field that is no file
        self._text = b""
        self._is_file = False
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end,
                    "on_end": self._close,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from error

    def read(self, piece: bytes) -> list[Part]:
        """Return what a piece of the body contains."""
        self._found = []
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(error) from error
        return self._found

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _begin(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            text = f"A part of the form has no Content-Disposition with a name: {_REMEDY}."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)
        filename = options.get(b"filename")
        self._field, self._text = None, b""
        self._is_file = bool(filename)
        if filename:
            content_type = self._headers.get(b"content-type", b"").decode("latin-1")
            self._found.append(File(_text(filename), content_type))
        elif filename is None:
            self._field = _text(options[b"name"])

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._found.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MAX_TEXT:
            text = f"A field of the form is longer than {_MAX_TEXT} bytes and no file: {_FILE}."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)

    def _end(self) -> None:
        if self._is_file:
            self._found.append(FileEnd())
        elif self._field is not None:
            self._found.append(Text(self._field, self._text.decode(errors="replace")))

    def _close(self) -> None:
        self.is_closed = True


def _text(value: bytes) -> str:
    """Return a name; browsers write quotation marks in it as HTML's standard says."""
    try:
        return value.decode().replace("%22", '"')
    except UnicodeDecodeError:
        text = f"The name {value!r} in the form is not UTF-8: rename the file."
        raise HTTPException(HTTPStatus.BAD_REQUEST, text) from None


def _malformed(error: FormParserError) -> HTTPException:
    text = f"The form cannot be read ({str(error).rstrip('.')}): {_REMEDY}."
    return HTTPException(HTTPStatus.BAD_REQUEST, text)
