"""The parameters of `answers`."""

import re
from dataclasses import dataclass
from typing import Annotated

from worker.transforms.parameters import Range

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMOTE = re.compile(r"s3://[^/@]+/.+[^/]|hub://[^/@]+/[^/@]+@[^/@]+")


@dataclass(frozen=True)
class Parameters:
    """Which model answers, what it reads, and which answers count.

    Attributes:
        model: Where the model's files are: a folder in the pipeline's folder, `s3://BUCKET/PREFIX`
            or `hub://ORGANISATION/NAME@REVISION`.
        model_file: The model in ONNX format, below `model`.
        model_sha256: Its SHA-256 in hex; needed unless it is in the pipeline's folder.
        tokenizer_file: Its tokenizer in the format of the library `tokenizers`, below `model`.
        tokenizer_sha256: The same of the tokenizer.
        question: The column of questions.
        context: The column of texts that have the answers.
        prefix: What the names of the added columns begin with.
        min_score: The score below which a row has no answer.
        max_length: The most tokens that the model reads at once: question, context and special
            ones. Longer contexts are read in windows.
        stride: The tokens that a window has in common with the next.
        max_answer_tokens: The most tokens of an answer.
        threads: How many batches run side by side; 0 for one per core, at most 2.
    """

    model: str = "."
    model_file: str = "model.onnx"
    model_sha256: str = ""
    tokenizer_file: str = "tokenizer.json"
    tokenizer_sha256: str = ""
    question: str = "question"
    context: str = "context"
    prefix: str = ""
    min_score: Annotated[float, Range(0, 1)] = 0.0
    max_length: Annotated[int, Range(64, 4096)] = 384
    stride: Annotated[int, Range(0, 2048)] = 128
    max_answer_tokens: Annotated[int, Range(1, 512)] = 30
    threads: Annotated[int, Range(0, 64)] = 0

    def __post_init__(self) -> None:
        """Check what concerns several parameters.

        Raises:
            ValueError: A sentence that begins with the parameter's name.
        """
        if self.stride > self.max_length // 2:
            raise ValueError(
                f"stride is {self.stride}: set it to at most half of maxLength ({self.max_length})."
            )
        if "://" not in self.model:
            return
        if not _REMOTE.fullmatch(self.model):
            raise ValueError(
                f"model is {self.model!r}: set it to a folder, s3://BUCKET/PREFIX or"
                " hub://ORGANISATION/NAME@REVISION."
            )
        for name, file, value in (
            ("modelSha256", self.model_file, self.model_sha256),
            ("tokenizerSha256", self.tokenizer_file, self.tokenizer_sha256),
        ):
            if not _SHA256.fullmatch(value):
                raise ValueError(
                    f"{name} is {value!r}: set it to the SHA-256 of {file}, 64 hex digits."
                )
