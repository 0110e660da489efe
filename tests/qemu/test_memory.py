"""A transform that exceeds the unit's memory limit is killed, and nothing else is."""

from pathlib import Path

from PIL import Image

from tests.machine.guest import TIMER, WORKER, Guest, eventually

# A transform of it takes twice four bytes a pixel: 239 MiB beside the interpreter's 30.
SIDE = 5_600
# Less than the unit's own limit, which an emulated machine would take long to reach.
LIMIT = "MemoryMax=250M"
GREEDY, SMALL = "greedy.tif", "cat.jpg"


def test_greedy_photo_is_quarantined_and_the_others_are_done(guest: Guest, tmp_path: Path) -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (99, 99, 99))  # one byte, again and again
    picture.save(tmp_path / GREEDY, compression="packbits")
    before = len(guest.rows())
    boot, since = guest.machine.boot_id(), guest.shell("date +%s")
    guest.pause()
    guest.override(LIMIT)
    try:
        guest.checkout.pipeline("put", str(tmp_path / GREEDY), f"samples/{SMALL}")
        guest.shell(f"systemctl start {TIMER}")
        eventually(lambda: len(guest.rows()) == before + 2, 120, "rows of both")
    finally:
        guest.resume()
    rows = {row["input_key"]: row for row in guest.rows()[before:]}
    outcomes = {key: row["outcome"] for key, row in rows.items()}
    assert outcomes == {GREEDY: "quarantined", SMALL: "done"}
    kernel_log = guest.shell(
        f"journalctl --no-pager -k --since=@{since} -o cat | grep 'Killed process'"
    )
    killed = [line for line in kernel_log.splitlines() if "emory cgroup out of memory" in line]
    assert len(killed) >= 3, kernel_log  # once for each attempt
    # It is always the transform's own process, which sets its oom_score_adj.
    assert all("oom_score_adj:1000" in line for line in killed), kernel_log
    assert guest.machine.boot_id() == boot
    assert guest.shell(f"systemctl show -P NRestarts {WORKER}") == "0"
    eventually(lambda: guest.status()["machines"][0]["obstacle"] is None)
