"""What the example shows besides its pictures."""

from cli.examples.interface import Results


def show(results: Results) -> None:
    """Show the records: a row per face."""
    results.sql("select key, x, y, width, height, score, result_key from faces order by key, face")
