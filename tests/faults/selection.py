"""Which cells of a table of faults are run: some, chosen by a seed, or all."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pytest

_SHORTEST = "fetch"  # the step at which a silent store costs the least time


def left_out(items: Iterable[pytest.Item], seed: int) -> list[pytest.Item]:
    """Return the cells that are not run: of tests marked `cells(n)`, all but n.

    Every fault and every step is chosen before any of them is chosen twice.

    Args:
        items: All tests.
        seed: The same seed chooses the same cells.

    Returns:
        The tests to leave out.
    """
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("cells"):
            tests[item.nodeid.partition("[")[0]].append(item)
    return [cell for name in sorted(tests) for cell in _rest(tests[name], seed)]


def _rest(cells: Sequence[pytest.Item], seed: int) -> list[pytest.Item]:
    mark = cells[0].get_closest_marker("cells")
    assert mark
    rest = list(cells)
    random.Random(seed).shuffle(rest)  # noqa: S311
    seen, count = set[object](), 0
    for only_new in (True, False):
        for cell in tuple(rest):
            where = cell.callspec.params.get("cell")  # type: ignore[attr-defined]
            traits = {cell} if where is None else where.traits
            is_long = bool(where and where.injection.is_slow and where.step != _SHORTEST)
            if count == mark.args[0] or (only_new and traits <= seen):
                continue
            if is_long:
                continue
            count, seen = count + 1, seen | traits
            rest.remove(cell)
    return rest
