"""A random model for question answering, of DistilBERT's size, and questions for it."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_VOCABULARY, _POSITIONS = 30_522, 512
_HIDDEN, _INNER, _HEADS, _LAYERS = 768, 3072, 12, 6
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_OPSET, _IR = 17, 8
QUESTION_TOKENS, SPECIAL_TOKENS = 12, 3


def write_model(path: Path) -> None:
    """Write a DistilBERT with random weights (Sanh et al. 2019, arXiv:1910.01108), 265 MB."""
    graph = _Graph()
    hidden = graph.normalized(graph.embedded(), "embeddings")
    mask = graph.mask()
    for layer in range(_LAYERS):
        hidden = graph.layer(hidden, mask, f"layer{layer}")
    graph.finish(hidden)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "random",
            [_value(name, TensorProto.INT64) for name in ("input_ids", "attention_mask")],
            [_value(name, TensorProto.FLOAT) for name in ("start_logits", "end_logits")],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    onnx.save(model, path)


def write_tokenizer(path: Path) -> None:
    """Write a tokenizer that knows the words w4, w5 and so on, one for each further id."""
    words = [*_SPECIAL, *(f"w{number}" for number in range(len(_SPECIAL), _VOCABULARY))]
    text: dict[str, Any] = {
        "version": "1.0",
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
            ],
            "special_tokens": {
                name: {"id": name, "ids": [_SPECIAL.index(name)], "tokens": [name]}
                for name in ("[CLS]", "[SEP]")
            },
        },
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(words)},
            "unk_token": "[UNK]",
        },
    }
    for name in ("truncation", "padding", "normalizer", "decoder"):
        text[name] = None
    path.write_text(json.dumps({**text, "added_tokens": []}), encoding="utf-8")


def write_questions(path: Path, rows: int, tokens: int, seed: int) -> None:
    """Write a CSV of random words, so many tokens a row."""
    dice = random.Random(seed)  # noqa: S311  not a secret

    def words(count: int) -> str:
        return " ".join(f"w{dice.randrange(len(_SPECIAL), _VOCABULARY)}" for _ in range(count))

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "context"])
        for _ in range(rows):
            context = words(tokens - QUESTION_TOKENS - SPECIAL_TOKENS)
            writer.writerow([words(QUESTION_TOKENS), context])


def _value(name: str, kind: int) -> Any:
    return helper.make_tensor_value_info(name, kind, ["rows", "tokens"])


class _Graph:
    """Nodes and weights of the network."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._random = np.random.default_rng(1)
        self._constant("heads", np.array([0, 0, _HEADS, _HIDDEN // _HEADS]))
        self._constant("joined", np.array([0, 0, _HIDDEN]))
        self._constant("one", np.int64(1))
        self._constant("one_float", np.float32(1))

    def embedded(self) -> str:
        tokens = self._node("Gather", self._node("Shape", "input_ids"), "one", axis=0)
        positions = self._node("Range", self._constant("zero", np.int64(0)), tokens, "one")
        words = self._node("Gather", self._weights("words", _VOCABULARY, _HIDDEN), "input_ids")
        places = self._node("Gather", self._weights("places", _POSITIONS, _HIDDEN), positions)
        return self._node("Add", words, places)

    def mask(self) -> str:
        """Minus 10,000 for padding, shape (rows, 1, 1, tokens)."""
        axes = self._constant("mask_axes", np.array([1, 2]))
        given = self._node("Cast", "attention_mask", to=TensorProto.FLOAT)
        padding = self._node("Sub", "one_float", self._node("Unsqueeze", given, axes))
        return self._node("Mul", padding, self._constant("never", np.float32(-10_000)))

    def layer(self, hidden: str, mask: str, name: str) -> str:
        query, key, value = (
            self._node(
                "Transpose",
                self._node("Reshape", self._linear(hidden, _HIDDEN, _HIDDEN, name + part), "heads"),
                perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3],
            )
            for part in ("query", "key", "value")
        )
        scale = self._constant(f"{name}scale", np.float32((_HIDDEN // _HEADS) ** 0.5))
        scores = self._node("Div", self._node("MatMul", query, key), scale)
        weights = self._node("Softmax", self._node("Add", scores, mask), axis=-1)
        mixed = self._node("Transpose", self._node("MatMul", weights, value), perm=[0, 2, 1, 3])
        mixed = self._node("Reshape", mixed, "joined")
        attended = self._linear(mixed, _HIDDEN, _HIDDEN, f"{name}out")
        hidden = self.normalized(self._node("Add", attended, hidden), f"{name}attention")
        inner = self._gelu(self._linear(hidden, _HIDDEN, _INNER, f"{name}inner"), name)
        outer = self._linear(inner, _INNER, _HIDDEN, f"{name}outer")
        return self.normalized(self._node("Add", outer, hidden), f"{name}output")

    def finish(self, hidden: str) -> None:
        logits = self._linear(hidden, _HIDDEN, 2, "answers", deviation=0.2)
        halves = self._constant("halves", np.array([1, 1]))
        last = self._constant("last", np.array([2]))
        self.nodes.append(helper.make_node("Split", [logits, halves], ["starts", "ends"], axis=2))
        for half, output in (("starts", "start_logits"), ("ends", "end_logits")):
            self.nodes.append(helper.make_node("Squeeze", [half, last], [output]))

    def normalized(self, hidden: str, name: str) -> str:
        gain = self._constant(f"{name}gain", np.ones(_HIDDEN, np.float32))
        shift = self._constant(f"{name}shift", np.zeros(_HIDDEN, np.float32))
        return self._node("LayerNormalization", hidden, gain, shift, axis=-1, epsilon=1e-12)

    def _gelu(self, hidden: str, name: str) -> str:
        root = self._constant(f"{name}root", np.float32(2**0.5))
        half = self._constant(f"{name}half", np.float32(0.5))
        curve = self._node("Erf", self._node("Div", hidden, root))
        return self._node(
            "Mul", self._node("Mul", hidden, self._node("Add", curve, "one_float")), half
        )

    def _linear(
        self, hidden: str, width: int, height: int, name: str, deviation: float = 0.02
    ) -> str:
        weights = self._weights(f"{name}weights", width, height, deviation=deviation)
        return self._node(
            "Add", self._node("MatMul", hidden, weights), self._weights(f"{name}bias", height)
        )

    def _weights(self, name: str, *shape: int, deviation: float = 0.02) -> str:
        values = self._random.standard_normal(shape, np.float32) * np.float32(deviation)
        return self._constant(name, values)

    def _constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output
