"""A small model in ONNX format that answers by a rule: for this example, offline, and for tests.

It finds fields of contexts such as `name: Alice; city: São Paulo`: an answer starts after a word of
the question and a colon, and ends before the next semicolon. It has the interface of a BERT model
for extractive question answering and none of its knowledge. `write` makes its two files with the
standard library alone; the format is Protocol Buffers (onnx.proto of ONNX 1.12, IR version 8).
"""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", ":", ";")
_PAD, _UNKNOWN, _CLS, _SEP, _COLON, _SEMICOLON = range(len(_SPECIAL))
_INT64, _FLOAT, _OPSET, _IR = 7, 1, 17, 8
_VARINT = 1 << 7  # a varint has seven bits a byte, and the eighth says that another follows
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = ("start_logits", "end_logits")

#: Output = operation(inputs). Shapes are (windows, tokens), unless a comment says otherwise; a
#: shift by two tokens to the right is a pad of two on the left and of minus two on the right.
_NODES = """
context_bool = Equal(token_type_ids, 1)
context = Cast(context_bool)
question = Equal(token_type_ids, 0)
column = Unsqueeze(input_ids, axis_2)
row = Unsqueeze(input_ids, axis_1)
pairs = Equal(column, row)
asked_row = Unsqueeze(question, axis_1)
asked_pairs = And(pairs, asked_row)
asked_numbers = Cast(asked_pairs)
asked = ReduceMax(asked_numbers)
word_bool = Greater(input_ids, last_special)
word = Cast(word_bool)
known = Mul(asked, word)
key = Mul(known, context)
key_before = Pad(key, right_2)
colon_bool = Equal(input_ids, colon)
colons = Cast(colon_bool)
colon_before = Pad(colons, right_1)
after_key = Mul(key_before, colon_before)
candidates = Mul(after_key, context)
semicolon_bool = Equal(input_ids, semicolon)
semicolons = Cast(semicolon_bool)
fields_before = CumSum(semicolons, axis)
field = Add(fields_before, one)
candidate_fields = Mul(candidates, field)
answer_field = ReduceMaxKeep(candidate_fields)
in_answer_bool = Equal(field, answer_field)
in_answer = Cast(in_answer_bool)
sep_bool = Equal(input_ids, sep)
stop_bool = Or(semicolon_bool, sep_bool)
stops = Cast(stop_bool)
stop_after = Pad(stops, left_1)
starts = Mul(candidates, in_answer)
ends = Mul(stop_after, in_answer)
cls_bool = Equal(input_ids, cls)
none = Cast(cls_bool)
twice_starts = Mul(starts, two)
start_score = Add(twice_starts, none)
twice_ends = Mul(ends, two)
end_score = Add(twice_ends, none)
start_centered = Sub(start_score, one)
start_logits = Mul(start_centered, ten)
end_centered = Sub(end_score, one)
end_logits = Mul(end_centered, ten)
"""
_ATTRIBUTES = {
    "Cast": {"to": _FLOAT},
    "ReduceMax": {"axes": [2], "keepdims": 0},
    "ReduceMaxKeep": {"axes": [1], "keepdims": 1},
}
_CONSTANTS: dict[str, int | float | list[int]] = {
    "0": 0,
    "1": 1,
    "axis": 1,
    "axis_1": [1],
    "axis_2": [2],
    "right_1": [0, 1, 0, -1],
    "right_2": [0, 2, 0, -2],
    "left_1": [0, -1, 0, 1],
    "last_special": len(_SPECIAL) - 1,
    "colon": _COLON,
    "semicolon": _SEMICOLON,
    "sep": _SEP,
    "cls": _CLS,
    "one": 1.0,
    "two": 2.0,
    "ten": 10.0,
}


def write(folder: Path, words: Sequence[str]) -> None:
    """Write `model.onnx` and `tokenizer.json`.

    Args:
        folder: Where they go; it is made.
        words: The names of the fields, in lower case without accents; all other words are unknown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(_model())
    text = json.dumps(_tokenizer(words), indent=1, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, "utf-8")


def _model() -> bytes:
    graph = b"".join(
        [
            *(_bytes(1, _node(line)) for line in _NODES.strip().splitlines()),
            _text(2, "rule"),
            *(_bytes(5, _constant(name, value)) for name, value in _CONSTANTS.items()),
            *(_bytes(11, _tensor_type(name, _INT64)) for name in _INPUTS),
            *(_bytes(12, _tensor_type(name, _FLOAT)) for name in _OUTPUTS),
        ]
    )
    return _number(1, _IR) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))


def _node(line: str) -> bytes:
    output, _, call = line.partition(" = ")
    kind, _, inputs = call.rstrip(")").partition("(")
    names = b"".join(_text(1, name) for name in inputs.split(", "))
    attributes = b"".join(_bytes(5, part) for part in _attributes(kind))
    return names + _text(2, output) + _text(4, kind.removesuffix("Keep")) + attributes


def _attributes(kind: str) -> Iterator[bytes]:
    for name, value in _ATTRIBUTES.get(kind, {}).items():
        if isinstance(value, list):
            yield _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, 7)
        else:
            yield _text(1, name) + _number(3, value) + _number(20, 2)


def _constant(name: str, value: float | list[int]) -> bytes:
    values = value if isinstance(value, list) else [value]
    is_float = isinstance(value, float)
    data = struct.pack(f"<{len(values)}{'f' if is_float else 'q'}", *values)
    dimensions = _number(1, len(values)) if isinstance(value, list) else b""
    return (
        dimensions + _number(2, _FLOAT if is_float else _INT64) + _text(8, name) + _bytes(9, data)
    )


def _tensor_type(name: str, element: int) -> bytes:
    shape = b"".join(_bytes(1, _text(2, size)) for size in ("windows", "tokens"))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, element) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    rest, low = divmod(value, _VARINT)
    return bytes([low | _VARINT]) + _varint(rest) if rest else bytes([low])


def _tokenizer(words: Sequence[str]) -> dict[str, object]:
    """Return a tokenizer of the library `tokenizers` that knows some words."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *words])}
    special = {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in _SPECIAL}

    def token(name: str, kind: int) -> dict[str, object]:
        return {"SpecialToken": {"id": name, "type_id": kind}}

    question, context = (
        {"Sequence": {"id": one, "type_id": kind}} for kind, one in enumerate("AB")
    )
    single = [token("[CLS]", 0), question, token("[SEP]", 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": True,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, context, token("[SEP]", 1)],
            "special_tokens": {name: special[name] for name in ("[CLS]", "[SEP]")},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
