"""`answers`: CSV in, the same CSV out with answers; a bad row does not stop the others."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.worker.answerer import Answerer, make_answerer, write_rule_model
from tests.worker.pipeline import Pipeline
from tests.worker.prepared import PREPARED
from tests.worker.test_preparation import configure
from worker.environment import Environment
from worker.errors import InvalidInput, InvalidSettings, ServiceUnavailable, UploadDeferred
from worker.transforms import find

ADDED = ["answer", "score", "start", "end", "error"]
ALICE = "name: Alice; city: São Paulo; age: 41"
CITY = "What is the city of Alice?"
#: A span's score under the rule, where its start and end are as likely as its probabilities tell.
SURE = 0.9999


@pytest.fixture(scope="module")
def answer(moto: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answerer]:
    made = make_answerer(tmp_path_factory.mktemp("answers"), moto)
    yield made
    made.close()


def spans(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, str, str]]:
    return [(row["answer"], row["start"], row["end"]) for row in rows]


def test_the_answer_is_found_in_the_context(answer: Answerer) -> None:
    (row,) = answer.rows((CITY, ALICE))
    assert (row["question"], row["context"]) == (CITY, ALICE)
    assert (row["answer"], row["start"], row["end"], row["error"]) == ("São Paulo", "19", "28", "")
    assert SURE < float(row["score"]) < 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_file_stays_as_it_is(answer: Answerer, delimiter: str, mark: str, end: str) -> None:
    """Delimiter, quotes, line ends, byte order mark and other columns are those of the input."""
    lines = [
        ["id", "question", '"context"', "note"],
        ["1", CITY, f'"{ALICE}"', '"quoted, for no reason; ""so"""'],
        [],
        ["2", '"age?"', '"name: Bo; age:\r\n7"', " spaces "],
        ["3", "job?", '"name: Bo"', ""],
    ]
    added: list[Sequence[str]] = [
        ADDED,
        ["São Paulo", "0.999909", "19", "28", ""],
        [],
        ["7", "0.999909", "16", "17", ""],
        ["", "0.0", "", "", ""],
    ]
    source, expected = (
        (mark + end.join(delimiter.join(line) for line in each)).encode()
        for each in (lines, [[*a, *b] for a, b in zip(lines, added, strict=True)])
    )
    for last in (b"", end.encode()):
        result, made = answer(source + last)
        assert result == expected + last
        assert [record["answer"] for record in made.records] == ["São Paulo", "7", ""]


def test_each_row_is_a_record(answer: Answerer) -> None:
    _, made = answer(f'question,context,other\n{CITY},"{ALICE}",x\n,{ALICE},y\n'.encode())
    first, second = made.records
    assert first.pop("score") > SURE
    assert first == {
        "question": CITY,
        "answer": "São Paulo",
        "start": 19,
        "end": 28,
        "error": None,
    }
    assert second == {
        **dict.fromkeys(("answer", "score", "start", "end")),
        "question": "",
        "error": "the question is empty",
    }


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (f",{ALICE},x", f",{ALICE},x,,,,,the question is empty"),
        ("city?, ,x", "city?, ,x,,,,,the context is empty"),
        ("city?", "city?,,,,,,,1 fields instead of 3"),
        ("city?,city: a,x,y,z", "city?,city: a,x,,,,,5 fields instead of 3,y,z"),
        ("city?,\u200b,x", "city?,\u200b,x,,,,,the context has no tokens"),
    ],
)
def test_a_bad_row_has_its_error_and_others_their_answers(
    answer: Answerer, line: str, result: str
) -> None:
    good = ("age?,age: 7,x", "age?,age: 7,x,7,0.999909,5,6,")
    text = "\n".join(["question,context,z", good[0], line, good[0]])
    made, _ = answer(text.encode())
    assert made.decode().splitlines()[1:] == [good[1], result, good[1]]


def test_a_context_that_is_too_long_is_an_error_of_its_row(answer: Answerer) -> None:
    content = f"question,context\ncity?,city: x{' ' * 250_000}\n{CITY},{ALICE}\n"
    _, made = answer(content.encode())
    errors = [record["error"] for record in made.records]
    assert errors == ["the context has more than 250,000 characters", None]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"id;frage;text\n1;a;b\n",
            "it has no column 'question'; its columns, separated by semicolon, are 'id', 'frage',"
            " 'text': rename one, or set the parameters question and context",
        ),
        (
            b"question\ttext\na\tb\n",
            "it has no column 'context'; its columns, separated by tab, are 'question', 'text':"
            " rename one, or set the parameters question and context",
        ),
        (b"question,context,question\n", "it has two columns 'question': rename one"),
        (
            b"question,context,answer\na,b,c\n",
            "it has a column 'answer' already: rename it, or set the parameter prefix",
        ),
        (b"", "its first line is empty: it must name the columns question and context"),
        (b"\nquestion,context", "its first line is empty: it must name the columns question and"),
        (
            b"question,context\na,b\ncity?,city: S\xe3o Paulo\n",
            "line 3 is not UTF-8 (byte 0xe3): save it as UTF-8",
        ),
        ("question,context\n".encode("utf-16"), "it is UTF-16: save it as UTF-8"),
        (b"question,context\na,b\0\n", "line 2 has a NUL character: save the file as UTF-8"),
        (b'question,context\na,"b\nc,d\n', "a quote in the record of line 2 is not closed"),
        (b"question,context\n" + b"a,b\n" * 50_001, "it has more than 50,000 rows: split it"),
        (
            b"question,context\n" + (b"a" * 900_000 + b",b\n") * 20,
            "its records would exceed 16 MiB from row 19 on: split it",
        ),
        (
            b"question,context\na," + b"b" * (1 << 24) + b"b\n",
            "line 2 is not CSV: field larger than field limit (16777216)",
        ),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(
    answer: Answerer, content: bytes, reason: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        answer(content)
    assert str(refused.value).startswith(reason)


def test_a_table_without_rows_gets_its_columns(answer: Answerer) -> None:
    result, made = answer(b"question,context")
    assert result == b"question,context,answer,score,start,end,error\n"
    assert made.records == []


def test_columns_are_named_by_parameters(answer: Answerer) -> None:
    content = f"answer;frage;text\nold;{CITY};{ALICE.replace(';', ',')}\n".encode()
    result, _ = answer(content, question="frage", context="text", prefix="model_")
    header, line, _ = result.decode().split("\n")
    assert header.endswith(";model_answer;model_score;model_start;model_end;model_error")
    assert line.startswith("old;")


def test_there_is_no_answer_below_the_threshold(answer: Answerer) -> None:
    for threshold, text in ((SURE, "São Paulo"), (1, "")):
        (row,) = answer.rows((CITY, ALICE), minScore=threshold)
        assert row["answer"] == text
        assert float(row["score"]) > SURE
        assert bool(row["start"]) is bool(row["end"]) is bool(text)


def test_there_is_no_answer_where_the_model_says_so(answer: Answerer) -> None:
    (row,) = answer.rows(("job?", ALICE))
    assert (row["answer"], row["start"], row["error"]) == ("", "", "")
    assert float(row["score"]) < 0.01


def test_an_answer_has_at_most_so_many_tokens(answer: Answerer) -> None:
    rows = [("name?", "name: a b c; age: 7")]
    assert spans(answer.rows(*rows, maxAnswerTokens=3)) == [("a b c", "6", "11")]
    assert answer.rows(*rows, maxAnswerTokens=2)[0]["answer"] != "a b c"


@pytest.mark.parametrize("before", [0, 5, 30, 60, 61, 200, 5000])
@pytest.mark.parametrize("after", [0, 30, 300])
def test_long_contexts_are_read_in_windows(answer: Answerer, before: int, after: int) -> None:
    context = "é " * before + "age: 41; " + "x " * after
    (row,) = answer.rows(("age?", context), maxLength=64, stride=16)
    assert (row["answer"], row["start"], row["end"]) == (
        "41",
        str(2 * before + 5),
        str(2 * before + 7),
    )


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("city: Bogota\u0301; age: 7", ("Bogota\u0301", "6", "13")),
        ("city: Bogotá; age: 7", ("Bogotá", "6", "12")),
        ("name: 😀👩‍🚀; city:  東京 ; age: 7", ("東京", "19", "21")),
        ("city: a\u0301\u0302\nb\u0303; age: 7", ("a\u0301\u0302\nb\u0303", "6", "12")),
    ],
)
def test_positions_are_code_points_and_accents_stay_whole(
    answer: Answerer, context: str, expected: tuple[str, str, str]
) -> None:
    rows = answer.rows(("city?", context))
    assert spans(rows) == [expected]
    assert context[int(rows[0]["start"]) : int(rows[0]["end"])] == rows[0]["answer"]


def test_a_long_question_is_cut_and_a_note_says_so(answer: Answerer) -> None:
    words = ["age", *["x"] * 36]
    for question, notes in (
        (words, []),
        ([*words, "city"], ["1 questions were too long for the model and were cut off"]),
    ):
        content = f"question,context\n{' '.join(question)},city: a; age: 7\n".encode()
        result, made = answer(content, maxLength=64, stride=16)
        assert b",7,0.99" in result
        assert made.notes == notes


def test_rows_do_not_depend_on_their_neighbours(answer: Answerer) -> None:
    """Rows of all lengths are put into batches by length; each gets its own answer."""
    rows, expected = [], []
    for number in range(150):
        before = (number * 37) % 90
        rows.append((f"age of {number}", f"{'x ' * before}name: n; age: {number}; city: c"))
        start = 2 * before + 14
        expected.append((str(number), str(start), str(start + len(str(number)))))
    assert spans(answer.rows(*rows, maxLength=64, stride=8, threads=3)) == expected


def test_a_model_without_finite_numbers_is_an_error_of_the_row(
    answer: Answerer, tmp_path: Path
) -> None:
    write_rule_model(tmp_path, ten=float("inf"))
    prepared = Environment(
        answer.environment.python,
        files={"model": tmp_path / "model.onnx", "tokenizer": tmp_path / "tokenizer.json"},
    )
    broken = Answerer(prepared, {}, tmp_path)
    (row,) = broken.rows((CITY, ALICE))
    broken.close()
    assert (row["answer"], row["error"]) == ("", "the model returned no finite numbers")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model", b"not ONNX", "The model model cannot be loaded ("),
        ("model", None, "The model model.onnx has the outputs "),
        ("tokenizer", b"{}", "The tokenizer tokenizer cannot be read: "),
    ],
)
def test_files_that_are_no_model_are_nobodys_fault(
    answer: Answerer, tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    other = tmp_path / name
    if content is None:
        write_rule_model(tmp_path)
        other = tmp_path / "model.onnx"
        content = other.read_bytes().replace(b"end_logits", b"mid_logits")
    other.write_bytes(content)
    files = {**answer.environment.files, name: other}
    pool = answer.pool("{}", Environment(answer.environment.python, files=files))
    source = tmp_path / "source"
    source.write_bytes(b"question,context\na,b\n")
    with pytest.raises((ServiceUnavailable, UploadDeferred)) as refused:
        pool.run([source], ["questions.csv"])
    pool.close()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"stride": 200}, "stride is 200: set it to at most half of maxLength (384)."),
        (
            {"model": "hub://org/name"},
            "model is 'hub://org/name': set it to a folder, s3://BUCKET/PREFIX or"
            " hub://ORGANISATION/NAME@REVISION.",
        ),
        (
            {"model": "hub://org/name@main"},
            "modelSha256 is '': set it to the SHA-256 of model.onnx, 64 hex digits.",
        ),
        (
            {"model": "s3://bucket/qa", "modelSha256": "0" * 64, "tokenizerFile": "t.json"},
            "tokenizerSha256 is '': set it to the SHA-256 of t.json, 64 hex digits.",
        ),
        ({"minScore": 2}, "minScore is 2: set it to a number from 0 to 1."),
    ],
)
def test_parameters_are_checked_before_a_stack_is_deployed(
    parameters: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidSettings) as refused:
        find("answers").read(parameters)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("model", "locations"),
    [
        (".", ["onnx/model.onnx", "tokenizer.json"]),
        ("qa", ["qa/onnx/model.onnx", "qa/tokenizer.json"]),
        ("s3://models/qa", ["s3://models/qa/onnx/model.onnx", "s3://models/qa/tokenizer.json"]),
        ("hub://o/n@abc", ["hub://o/n@abc/onnx/model.onnx", "hub://o/n@abc/tokenizer.json"]),
    ],
)
def test_a_model_may_be_in_three_places(model: str, locations: Sequence[str]) -> None:
    definition = find("answers")
    hashes = {"modelSha256": "0" * 64, "tokenizerSha256": "1" * 64}
    found = definition.read({"model": model, "modelFile": "onnx/model.onnx", **hashes})
    assert [one.location for one in definition.resources(found)] == list(locations)
    assert [one.sha256 for one in definition.resources(found)] == list(hashes.values())


def test_answers_are_rows_of_the_database(versioned: Pipeline, tmp_path: Path) -> None:
    """The model is in the pipeline's folder; what is asked of the database is what README shows."""
    write_rule_model(tmp_path / "qa")
    files: dict[str, str | bytes] = {
        path.name: path.read_bytes() for path in sorted((tmp_path / "qa").iterdir())
    }
    versioned.environment = {"PREPARED_DIRECTORY": str(PREPARED)}
    configure(versioned, files, transform="answers")
    versioned.migrate()
    assert versioned.run("prepare").returncode == 0
    versioned.put("a/questions.csv", f'question,context\n{CITY},"{ALICE}"\njob?,x\n'.encode())
    versioned.drain()
    assert versioned.get("a/questions.csv").startswith(b"question,context,answer,score")
    rows = versioned.sql("SELECT * FROM pipeline.answers ORDER BY number", user=versioned.user)
    assert [(row["key"], row["number"], row["answer"], row["end"]) for row in rows] == [
        ("a/questions.csv", 1, "São Paulo", 28),
        ("a/questions.csv", 2, "", None),
    ]
    assert [name for name in rows[0] if name in ("question", *ADDED)] == ["question", *ADDED]
