"""Put the models of all splits into one, and measure how valid its predictions are.

A conformal predictor promises that its sets of labels contain the true one with at least the
confidence asked for. The p-values of an aggregated predictor are the medians of its splits'.
"""

import csv
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import plot

FOLDER = Path(__file__).resolve().parent
LABELS = ("inactive", "active")
CONFIDENCES = [step / 20 for step in range(1, 20)]


def read_predictions(files: Sequence[Path]) -> list[tuple[str, Mapping[str, float]]]:
    """Return the true label and the aggregated p-values of each test row."""
    splits = []
    for file in files:
        with file.open(newline="", encoding="utf-8") as stream:
            splits.append(list(csv.DictReader(stream)))
    return [
        (
            rows[0]["label"],
            {label: statistics.median(float(row[label]) for row in rows) for label in LABELS},
        )
        for rows in zip(*splits, strict=True)
    ]


def validity(
    predictions: Sequence[tuple[str, Mapping[str, float]]], confidence: float
) -> dict[str, float]:
    """Return the share of sets with the true label, and of those with one label only."""
    sets = [
        (true, [label for label in LABELS if p_values[label] > 1 - confidence])
        for true, p_values in predictions
    ]
    return {
        "confidence": confidence,
        "accuracy": round(sum(true in found for true, found in sets) / len(sets), 4),
        "single": round(sum(len(found) == 1 for _, found in sets) / len(sets), 4),
    }


def main(inputs: Path, outputs: Path) -> None:
    """Write model.jar, validity.csv, validity.svg and a record for each confidence."""
    models, tables = (sorted(map(str, inputs.rglob(name))) for name in ("*.jar", "*.csv"))
    classes = f"{FOLDER / 'classes'}:{FOLDER / 'lib' / '*'}"
    java = ["java", f"@{FOLDER / 'java.options'}", "-cp", classes, "Aggregate"]
    if subprocess.run([*java, str(outputs / "model.jar"), *models], check=False).returncode:
        sys.exit(1)
    predictions = read_predictions([Path(table) for table in tables])
    rows = [validity(predictions, confidence) for confidence in CONFIDENCES]
    with (outputs / "validity.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    title = f"{len(models)} splits, {len(predictions)} test molecules"
    (outputs / "validity.svg").write_text(plot.svg(title, rows), encoding="utf-8")
    records = "".join(json.dumps(row) + "\n" for row in rows)
    (outputs / "records.jsonl").write_text(records, encoding="utf-8")
    print(f"{len(models)} models and {len(tables)} tables of predictions read; {title}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
