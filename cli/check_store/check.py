"""A check of a store, the consequence of a failed one, and findings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cli.check_store.scratch_buckets import ScratchBuckets

YES = "yes"
NO = "no"
NOT_RUN = "–"
#: In `Check.needs`, in place of a check's name: a second owner's credentials.
OTHER_OWNER = "another owner"

#: Results by the check's name: YES, NOT_RUN, or what the store does instead.
Results = Mapping[str, str]


class Severity(StrEnum):
    """How bad a consequence is, worst first."""

    BROKEN = "does not work"
    DATA_LOSS = "may be lost"
    NOTE = "good to know"


def always(_results: Results) -> bool:
    """Return True: the consequence does not depend on other results."""
    return True


@dataclass(frozen=True)
class Consequence:
    """What a failed check means for the user.

    Attributes:
        severity: How bad it is.
        sentence: What happens and what to do about it.
        applies: Whether it does, given the results of the other checks.
    """

    severity: Severity
    sentence: str
    applies: Callable[[Results], bool] = always


@dataclass(frozen=True)
class Check:
    """A statement that holds for Amazon S3, and the requests that test it.

    Attributes:
        name: Identifies it in `--json`.
        statement: What is checked.
        run: Returns YES or a few words; a ClientError that it raises is a result too.
        consequence: Of any other result than YES.
        needs: The name of the check that must have succeeded, or OTHER_OWNER.
        otherwise: The consequence if `consequence` does not apply.
    """

    name: str
    statement: str
    run: Callable[[ScratchBuckets], str]
    consequence: Consequence
    needs: str = ""
    otherwise: Consequence | None = None


def yes_if(condition: bool) -> str:
    """Return YES or NO."""
    return YES if condition else NO


@dataclass(frozen=True)
class Finding:
    """A failed check that has a consequence."""

    check: Check
    result: str
    consequence: Consequence


def find(checks: Iterable[Check], results: Results) -> list[Finding]:
    """Return the consequences of a store's results, worst first."""
    found = []
    for check in checks:
        result = results[check.name]
        if result in (YES, NOT_RUN):
            continue
        first = check.consequence
        consequence = first if first.applies(results) else check.otherwise
        if consequence is not None:
            found.append(Finding(check, result, consequence))
    return sorted(found, key=lambda finding: list(Severity).index(finding.consequence.severity))


def is_safe(findings: Iterable[Finding]) -> bool:
    """Whether the pipeline works with the store and no photo can be lost."""
    return all(finding.consequence.severity is Severity.NOTE for finding in findings)
