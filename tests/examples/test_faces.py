"""faces: photos -> faces -> negatives of the faces."""

from PIL import Image

from cli.contact_sheet import is_negative
from tests.checkout import Checkout
from tests.examples.shown import show


def test_faces_are_cut_out_and_negated(checkout: Checkout) -> None:
    shown = show(checkout, "faces")
    assert shown.jobs() == {"portraits": ["done"] * 3, "inverted": ["done"] * 2}
    crops = shown.files("portraits", "")
    assert [crop.name for crop in crops] == ["astronaut.jpg.1.jpg", "photographer.png.1.png"]
    for crop in crops:
        with Image.open(crop) as picture:
            assert picture.width >= 20
        assert is_negative(crop, shown.folder / "inverted" / f"negated_{crop.name}")
    rows = shown.table("select key, x, y")
    assert [row[0] for row in rows] == ["astronaut.jpg", "photographer.png"]
    assert [row[-1] for row in rows] == [crop.name for crop in crops]
    assert all(0.6 < float(row[5]) <= 1 for row in rows)
