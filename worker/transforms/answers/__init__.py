"""Answer the questions of a CSV from its contexts by an extractive model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from worker.errors import InvalidInput, ServiceUnavailable
from worker.transforms import Input, Produced, Resources
from worker.transforms.answers.model import Model
from worker.transforms.answers.parameters import Parameters
from worker.transforms.answers.spans import Span, best_span, trimmed
from worker.transforms.answers.table import Row, Table
from worker.transforms.answers.windows import Encoder, Window

_MAX_CONTEXT = 250_000  # characters; the tokenizer takes up to 350 bytes for each
#: Rows that are answered together: so many characters of contexts, so many rows.
_CHUNK_CHARACTERS, _CHUNK_ROWS = 1 << 20, 2048
_DIGITS = 6


@dataclass(frozen=True)
class _Question:
    """A row, and what the model reads of it; or why it is not answered."""

    row: Row
    text: str = ""
    context: str = ""
    windows: Sequence[Window] = ()
    is_cut: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Answer:
    """What is added to a row: each attribute is a column. An answer is "" where there is none."""

    answer: str | None = None
    score: float | None = None
    start: int | None = None
    end: int | None = None
    error: str | None = None


class _Loaded:
    """What `start` has loaded into this process."""

    model: ClassVar[Model]
    encoder: ClassVar[Encoder]


def start(parameters: Parameters, resources: Resources) -> None:
    """Load the model and its tokenizer; see `Transform`.

    Raises:
        ServiceUnavailable: They cannot be used.
    """
    path = resources.files["tokenizer"]
    try:
        _Loaded.encoder = Encoder(path, parameters.max_length, parameters.stride)
    except Exception as error:  # noqa: BLE001  the library has no class of its own
        raise ServiceUnavailable(f"The tokenizer {path.name} cannot be read: {error}.") from None
    _Loaded.model = Model(resources.files["model"], parameters.threads)


def apply(inputs: Sequence[Input], outputs: Path, parameters: Parameters) -> Produced:
    """Answer each row of a CSV; see `Transform.apply`."""
    (source,) = inputs
    table = Table(source.path, (parameters.question, parameters.context))
    added = [f"{parameters.prefix}{name}" for name in _Answer.__dataclass_fields__]
    if taken := [name for name in added if name in table.columns]:
        raise InvalidInput(
            f"it has a column {taken[0]!r} already: rename it, or set the parameter prefix"
        )
    table.check(table.position(parameters.question))
    target = outputs / "answers.csv"
    records, cut = list[dict[str, object]](), 0
    with target.open("w", encoding="utf-8", newline="") as file:
        file.write(table.header_with(added))
        for questions in _chunks(table, parameters):
            for question, answer in zip(questions, _answers(questions, parameters), strict=True):
                values = vars(answer)
                fields = ["" if value is None else str(value) for value in values.values()]
                file.write(table.with_fields(question.row, fields))
                if question.row.fields:
                    records.append({"question": question.text, **values})
                cut += question.is_cut
    notes = [f"{cut} questions were too long for the model and were cut off"] if cut else []
    return Produced([(target, "text/csv")], records, notes)


def _chunks(table: Table, parameters: Parameters) -> Iterator[list[_Question]]:
    columns = table.position(parameters.question), table.position(parameters.context)
    chunk, size = list[_Question](), 0
    for row in table.rows():
        chunk.append(_encoded(_read(row, columns, len(table.columns))))
        size += len(chunk[-1].context)
        if size >= _CHUNK_CHARACTERS or len(chunk) >= _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    yield chunk


def _read(row: Row, columns: tuple[int, int], width: int) -> _Question:
    if not row.fields:
        return _Question(row)
    if len(row.fields) != width:
        has_text = len(row.fields) > columns[0]
        text = row.fields[columns[0]] if has_text else ""
        return _Question(row, text, error=f"{len(row.fields)} fields instead of {width}")
    text, context = (row.fields[column] for column in columns)
    error = ""
    if not text.strip():
        error = "the question is empty"
    elif not context.strip():
        error = "the context is empty"
    elif len(context) > _MAX_CONTEXT:
        error = f"the context has more than {_MAX_CONTEXT:,} characters"
    return _Question(row, text, "" if error else context, error=error)


def _encoded(question: _Question) -> _Question:
    if not question.context:
        return question
    found = _Loaded.encoder.encode(question.text, question.context)
    error = "" if found.windows else "the context has no tokens"
    return replace(question, windows=found.windows, is_cut=found.is_cut, error=error)


def _answers(questions: Sequence[_Question], parameters: Parameters) -> Iterator[_Answer]:
    windows = [window for question in questions for window in question.windows]
    spans: list[Span | None] = [None] * len(windows)
    for index, starts, ends in _Loaded.model.logits(windows):
        context = windows[index].context
        spans[index] = best_span(starts, ends, context, parameters.max_answer_tokens)
    at = 0
    for question in questions:
        own = spans[at : at + len(question.windows)]
        at += len(own)
        yield _answer(question, own, parameters.min_score)


def _answer(question: _Question, spans: Sequence[Span | None], min_score: float) -> _Answer:
    if question.error or not spans:
        return _Answer(error=question.error or None)
    found = [(span, window) for span, window in zip(spans, question.windows, strict=True) if span]
    if len(found) < len(spans):
        return _Answer(error="the model returned no finite numbers")
    span, window = max(found, key=lambda one: one[0].score)
    score = round(span.score, _DIGITS)
    if span.score < min_score or span.score < min(one.null for one, _ in found):
        return _Answer("", score)
    (start, _), (_, end) = window.offsets[span.first], window.offsets[span.last]
    start, end = trimmed(question.context, int(start), int(end))
    return _Answer(question.context[start:end], score, start, end)
