"""faces: photos and a camera -> faces -> negatives of the faces."""

from PIL import Image

from cli.contact_sheet import is_negative
from local.processes import find_program
from tests.checkout import Checkout
from tests.examples.shown import show

#: Frames of the camera with a face, where this computer can show it.
_FRAMES = 4 if find_program("mosquitto") else 0


def test_faces_are_cut_out_and_negated(checkout: Checkout) -> None:
    shown = show(checkout, "faces")
    portraits, inverted = ["done"] * (3 + _FRAMES), ["done"] * (2 + _FRAMES)
    assert shown.jobs() == {"portraits": portraits, "inverted": inverted}
    crops = shown.files("portraits", "")
    names = [crop.name for crop in crops]
    assert [name for name in names if name[0].isalpha()] == [
        "astronaut.jpg.1.jpg",
        "photographer.png.1.png",
    ]
    assert [name for name in names if name[0].isdigit()] == [
        f"{number}.jpg.1.jpg" for number in range(1, _FRAMES + 1)
    ]
    for crop in crops:
        with Image.open(crop) as picture:
            assert picture.width >= 20
        folder = crop.relative_to(shown.folder / "portraits").parent
        negative = shown.folder / "inverted" / folder / f"negated_{crop.name}"
        assert is_negative(crop, negative)
    rows = shown.table("select key, x, y")
    assert [row[0].rpartition("/")[2] for row in rows] == [
        "astronaut.jpg",
        *(f"{number}.jpg" for number in range(1, _FRAMES + 1)),
        "photographer.png",
    ]
    assert all(row[-1] == f"{row[0]}.1.{row[0][-3:]}" for row in rows)
    assert all(0.6 < float(row[5]) <= 1 for row in rows)
    minutes = shown.table("select camera, minute, generated") if _FRAMES else []
    assert sum(int(row[2]) for row in minutes) == _FRAMES
    assert sum(int(row[3]) for row in minutes) == _FRAMES
