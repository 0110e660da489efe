"""An extractive question answering model in ONNX format, run by onnxruntime on the CPU."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

# Its import would write an identifier into the user's cache; telemetry is on (its Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

from worker.errors import ServiceUnavailable
from worker.transforms.answers.spans import Floats
from worker.transforms.answers.windows import Window

_BATCH_TOKENS = 1536  # more does not run faster, and needs more memory
_MAX_THREADS = 2  # by default: within 1 GiB with DistilBERT
_DTYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUTS = ("start_logits", "end_logits")
_LONGEST = 200  # of what onnxruntime says


class Model:
    """A model that is loaded.

    Batches run side by side, each in one thread: that takes less CPU time than several threads for
    one batch, and cores that other files use are not waited for.

    Args:
        path: The file.
        threads: How many batches run side by side, 0 for one per core.

    Raises:
        ServiceUnavailable: It cannot be used.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # lengths differ
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  onnxruntime has a class for each status
            raise ServiceUnavailable(
                f"The model {path.name} cannot be loaded ({_reason(error)}): check the file, and"
                " raise limits.memoryMb if it is large."
            ) from None
        self._types = {one.name: one.type for one in self._session.get_inputs()}
        self._check(path.name)
        self._threads = threads or min(_MAX_THREADS, len(os.sched_getaffinity(0)))

    def logits(self, windows: Sequence[Window]) -> Iterator[tuple[int, Floats, Floats]]:
        """Run the model.

        Args:
            windows: What it reads; they may differ in length.

        Yields:
            For each window, in any order, its index, and the logits of start and end for each of
            its tokens.

        Raises:
            MemoryError: A batch needs more memory than there is.
            ServiceUnavailable: The model cannot process them.
        """  # noqa: DOC502  raised by _run
        with ThreadPoolExecutor(self._threads) as pool:
            chosen = list(batches([len(window.ids) for window in windows]))
            done = pool.map(lambda batch: self._run([windows[one] for one in batch]), chosen)
            for batch, (starts, ends) in zip(chosen, done, strict=True):
                for index, start, end in zip(batch, starts, ends, strict=True):
                    length = len(windows[index].ids)
                    yield index, start[:length], end[:length]

    def _check(self, name: str) -> None:
        given = [one.name for one in self._session.get_outputs()]
        if _INPUTS[0] not in self._types or not self._types.keys() <= set(_INPUTS):
            found = ", ".join(self._types)
            raise ServiceUnavailable(
                f"The model {name} has the inputs {found}: use one for extractive question"
                " answering, which has input_ids, attention_mask and at most token_type_ids."
            )
        if wrong := [one for one in self._types if self._types[one] not in _DTYPES]:
            raise ServiceUnavailable(
                f"The model {name} takes {self._types[wrong[0]]} as {wrong[0]}: use one that takes"
                " 64-bit integers."
            )
        if not set(_OUTPUTS) <= set(given):
            raise ServiceUnavailable(
                f"The model {name} has the outputs {', '.join(given)}: use one for extractive"
                f" question answering, which has {' and '.join(_OUTPUTS)}."
            )

    def _run(self, windows: Sequence[Window]) -> tuple[Floats, Floats]:
        shape = len(windows), max(len(window.ids) for window in windows)
        inputs: dict[str, Any] = {
            name: np.zeros(shape, _DTYPES[kind]) for name, kind in self._types.items()
        }
        for line, window in enumerate(windows):
            values = (window.ids, np.ones_like(window.ids), window.types)
            for name, value in zip(_INPUTS, values, strict=True):
                if name in inputs:
                    inputs[name][line, : len(value)] = value
        try:
            starts, ends = self._session.run(_OUTPUTS, inputs)
        except Exception as error:  # noqa: BLE001  the same
            if "alloc" in str(error):
                raise MemoryError from None
            raise ServiceUnavailable(
                f"The model failed on a window of {shape[1]} tokens ({_reason(error)}): lower"
                " maxLength to what it was trained for."
            ) from None
        return starts.astype(np.float32), ends.astype(np.float32)


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Put windows of similar length together, since a batch is as long as its longest.

    Args:
        lengths: The tokens of each window.

    Yields:
        Indices, the longest windows first.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST]
