"""What the answers mean: pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from cli.check_store.fact import NOT_ASKED, YES, Answers, Fact, Loss, Weight


@dataclass(frozen=True)
class Finding:
    """A fact whose answer costs the user something."""

    fact: Fact
    answer: str
    loss: Loss


def judge(facts: Iterable[Fact], answers: Answers) -> list[Finding]:
    """What is lost, heaviest first."""
    found = []
    for fact in facts:
        answer = answers[fact.name]
        if answer in (YES, NOT_ASKED):
            continue
        loss = fact.loss if fact.loss.when(answers) else fact.otherwise
        if loss is not None:
            found.append(Finding(fact, answer, loss))
    return sorted(found, key=lambda finding: list(Weight).index(finding.loss.weight))


def trusted(findings: Iterable[Finding]) -> bool:
    """Whether the pipeline works there and nothing may be lost."""
    return all(finding.loss.weight is Weight.LESS for finding in findings)
