"""A photo that eats more than the unit may have, under the unit as our user-data wrote it."""

from pathlib import Path

from PIL import Image

from tests.machine.guest import WORKER, Guest, eventually

# Twice four bytes a pixel: 809 MiB. Less than a transform may address, and more than MemoryMax=80%
# of a gigabyte.
SIDE = 10_300
GREEDY, SMALL = "greedy.tif", "cat.jpg"


def test_it_is_quarantined_and_the_others_are_done(guest: Guest, tmp_path: Path) -> None:
    Image.new("RGB", (SIDE, SIDE), (10, 200, 30)).save(
        tmp_path / GREEDY, compression="tiff_adobe_deflate"
    )
    before = len(guest.rows())
    boot = guest.machine.boot()
    guest.checkout.pipeline("put", str(tmp_path / GREEDY), f"samples/{SMALL}")
    eventually(lambda: len(guest.rows()) == before + 2, 240, "rows of both")
    outcomes = {row["input_key"]: row["outcome"] for row in guest.rows()[before:]}
    assert outcomes == {GREEDY: "quarantined", SMALL: "done"}
    said = guest.root("journalctl --no-pager -k -b -o cat | grep 'emory cgroup out of memory'")
    killed = [line.partition("Killed process ")[2] for line in said.splitlines()]
    assert len(killed) >= 3  # each attempt, alone at last, and nothing else
    assert guest.machine.boot() == boot
    assert guest.root(f"systemctl show -P Result {WORKER}") == "success"
    assert guest.status()["machines"][0]["obstacle"] is None
