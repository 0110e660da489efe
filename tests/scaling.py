"""A stack `lab` whose number of machines is changed: what its `up` and `destroy` do, in order."""

from itertools import pairwise

from tests.operator import Operator

STACK = ("--stack", "lab")
#: What machines after the first have in common.
SHARED = {"SecGroup machines", "SecGroupRule ssh-from-first"}
DATABASE = {"updated TroveInstance database-instance", "updated TroveReady database-ready"}
_DONE = ("+", "~", "-")


def scale(operator: Operator, machines: int) -> list[str]:
    """Set the number of machines and run `up`; return its steps, such as "created Port port"."""
    operator.change("lab", machines=machines)
    return steps(operator.checkout.pipeline("up", *STACK).stderr)


def steps(printed: str) -> list[str]:
    """Return the steps of a command that changes a stack."""
    lines = [line.split() for line in printed.splitlines()]
    return [" ".join(words[1:]) for words in lines if words and words[0] in _DONE]


def of_machines(*numbers: int) -> set[str]:
    """Return the resources that machines after the first have for themselves."""
    return {f"{kind}-{number}" for number in numbers for kind in ("Instance vm", "Port port")}


def changes(done: str, resources: set[str]) -> set[str]:
    """Return the steps that do the same with all of these resources."""
    return {f"{done} {resource}" for resource in resources}


def assert_order(steps: list[str], *groups: str) -> None:
    """Check that all steps that begin with one text come before all that begin with the next."""
    places = [[i for i, step in enumerate(steps) if step.startswith(group)] for group in groups]
    assert all(places), steps
    for earlier, later in pairwise(places):
        assert max(earlier) < min(later), steps
