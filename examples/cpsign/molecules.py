"""Made-up molecules with a made-up activity: what a laboratory's database would hold."""

import random

_CORES = (
    "c1ccc({})cc1{}",
    "c1cc({})ncc1{}",
    "C1CC({})CCC1{}",
    "c1cc({})sc1{}",
    "C1CN({})CCN1{}",
    "c1ccc2c(c1)cc({})n2{}",
)
#: Substituent -> what it adds to the activity.
_GROUPS = {
    "C": 0.3,
    "CC": 0.6,
    "C(C)C": 0.9,
    "CCCC": 1.2,
    "Cl": 0.7,
    "F": 0.2,
    "C(F)(F)F": 1.0,
    "O": -0.9,
    "OC": 0.0,
    "N": -1.1,
    "C(=O)O": -1.4,
    "C(=O)N": -1.2,
    "C#N": -0.4,
    "CO": -0.7,
}
_NOISE = 0.35
#: Rows as they occur in real tables: CPSign leaves out molecules of less than five heavy atoms.
_SMALL = ("CCO", "C", "CC#N", "OC=O")
_UNREADABLE = ("C1CC(", "c1ccccc", "unknown")


def make_rows(count: int, seed: int) -> list[tuple[str, float]]:
    """Return SMILES and activity of so many molecules, a few of them small or unreadable."""
    chance = random.Random(seed)  # noqa: S311  not for secrets
    odd = [*_SMALL, *_UNREADABLE]
    rows = [(smiles, 0.0) for smiles in odd]
    while len(rows) < count:
        core = chance.randrange(len(_CORES))
        first, second = chance.choice(list(_GROUPS)), chance.choice(list(_GROUPS))
        activity = core / 4 + _GROUPS[first] + _GROUPS[second] + chance.gauss(0, _NOISE)
        rows.append((_CORES[core].format(first, second), round(activity, 2)))
    chance.shuffle(rows)
    return rows
