"""The best answer by a model's logits, and where it is in the context. Pure functions."""

import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """The best answer of a window.

    Attributes:
        score: The probability of its start times that of its end.
        first: Its first token, counted in the context's part of the window.
        last: Its last token.
        null: What the score would be of there being no answer in the window.
    """

    score: float
    first: int
    last: int
    null: float


def best_span(start: Floats, end: Floats, context: slice, most: int) -> Span | None:
    """Find the best answer in a window.

    Tokens of the context can be answers; the window's first token stands for there being none. The
    probabilities are softmax over these, as in Devlin et al. 2019, "BERT", section 4.3.

    Args:
        start: For each token of the window how likely an answer starts there, shape (tokens,).
        end: The same of its end.
        context: The context's tokens, at least one.
        most: The most tokens of an answer.

    Returns:
        The answer with the best score, of equal ones the first, then the shortest; None if the
        model returned something else than finite numbers.
    """
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        return None
    inside = [logits[context].astype(np.float64) for logits in (start, end)]
    length = len(inside[0])
    # Row: a start; column: how many tokens later it ends.
    padded = np.concatenate([inside[1], np.full(most - 1, -np.inf)])
    sums = inside[0][:, None] + np.lib.stride_tricks.sliding_window_view(padded, most)[:length]
    first, more = divmod(int(sums.argmax()), most)
    none = float(start[0]) + float(end[0])
    total = _log_sum(start[0], inside[0]) + _log_sum(end[0], inside[1])
    best = float(np.exp(sums[first, more] - total))
    return Span(best, first, first + more, float(np.exp(none - total)))


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a part of a text without spaces around it and with the marks on its last letter.

    Tokens may begin with the space before a word, and leave out the combining accent that a
    decomposed letter ends with.

    Args:
        text: The text.
        start: Its first character.
        end: The one after its last.

    Returns:
        The same two.
    """
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _log_sum(none: float, logits: NDArray[np.float64]) -> float:
    """Return the logarithm of the sum of exponentials."""
    highest = max(none, logits.max())
    return float(highest + np.log(np.exp(none - highest) + np.exp(logits - highest).sum()))
