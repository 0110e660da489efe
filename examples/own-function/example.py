"""What the example shows besides its pictures."""

from cli.examples.interface import Results


def show(results: Results) -> None:
    """Show the records: a row per picture."""
    results.sql("select key, data from records_thumbnails_thumbnail order by key")
