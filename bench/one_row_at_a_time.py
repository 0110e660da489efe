"""What `answers` is measured against: a program that asks onnxruntime about one row at a time.

python -m bench.one_row_at_a_time MODEL TOKENIZER THREADS LENGTH, with the paths of CSV files on
standard input; prints the seconds that each took. THREADS is 0 for onnxruntime's default, one per
core; rows are padded to LENGTH tokens, 0 for not at all.
"""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from worker.transforms.answers.spans import best_span
from worker.transforms.answers.windows import Encoder

_LONGEST, _STRIDE, _ANSWER = 384, 128, 30


def main() -> None:
    """Answer files until standard input ends."""
    model, tokenizer = map(Path, sys.argv[1:3])
    threads, length = map(int, sys.argv[3:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    encoder = Encoder(tokenizer, _LONGEST, _STRIDE)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        with Path(line.rstrip("\n")).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                (window,) = encoder.encode(row["question"], row["context"]).windows
                ids: Any = np.zeros((1, max(length, len(window.ids))), np.int64)
                mask = np.zeros_like(ids)
                ids[0, : len(window.ids)], mask[0, : len(window.ids)] = window.ids, 1
                inputs = {"input_ids": ids, "attention_mask": mask}
                (start,), (end,) = session.run(["start_logits", "end_logits"], inputs)
                best_span(start, end, window.context, _ANSWER)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
