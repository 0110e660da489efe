"""A question and its context as what a model reads: windows of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

_CONTEXT = 1  # the second sequence
_NEW = 8  # at least one in so many tokens of a window is of the context and in no window before


@dataclass(frozen=True)
class Window:
    """What a model reads at once.

    Attributes:
        ids: The tokens' ids, special ones included, shape (tokens,).
        types: Which sequence each token belongs to, as the model was trained, shape (tokens,).
        context: The tokens of the context.
        offsets: Where each of these is in the context, in code points: start and end, shape
            (tokens of the context, 2).
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    context: slice
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """A row as windows.

    Attributes:
        windows: What the model reads; none if the context has no tokens.
        is_cut: Whether the question was too long, so that its end was left out.
    """

    windows: Sequence[Window]
    is_cut: bool


class Encoder:
    """Makes windows.

    Args:
        path: `tokenizer.json`.
        max_length: The most tokens of a window.
        stride: The tokens that a window has in common with the next.

    Raises:
        Exception: The library cannot read the file.
    """

    def __init__(self, path: Path, max_length: int, stride: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._capacity = max_length - self._tokenizer.num_special_tokens_to_add(is_pair=True)
        self._longest_question = self._capacity - stride - max_length // _NEW
        self._stride = stride

    def encode(self, question: str, context: str) -> Encoded:
        """Make the windows of a row.

        Args:
            question: Its question.
            context: Its context.

        Returns:
            Its windows, and whether its question was cut.
        """
        asked = self._tokenizer.encode(question, add_special_tokens=False)
        text = self._tokenizer.encode(context, add_special_tokens=False)
        # The library panics if a window is not longer than the stride.
        is_cut = len(asked) > self._longest_question
        asked.truncate(self._longest_question)
        text.truncate(self._capacity - len(asked), stride=self._stride)
        parts = [text, *text.overflowing] if len(text) else []
        return Encoded([self._window(asked, part) for part in parts], is_cut)

    def _window(self, asked: Encoding, part: Encoding) -> Window:
        both = self._tokenizer.post_process(asked, part)
        sequences = both.sequence_ids
        first = sequences.index(_CONTEXT)
        context = slice(first, first + sequences.count(_CONTEXT))
        return Window(
            np.array(both.ids), np.array(both.type_ids), context, np.array(both.offsets[context])
        )
