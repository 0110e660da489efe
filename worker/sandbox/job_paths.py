"""Paths in the folder of a job, as its reason and its log show them."""

from pathlib import Path

#: The path of an only input, where the name of its object must not determine it.
INPUT = "input"


def without_folder(text: str, folder: Path) -> str:
    """Return a text in which inputs have their names, and other files paths such as `out/a.txt`.

    A job's folder has a random name: with it, no two failures would have the same reason.

    Args:
        text: A reason or a log.
        folder: The job's folder without symbolic links; the inputs are in its folder `in`.
    """
    return text.replace(f"{folder}/in/", "").replace(f"{folder}/", "")
