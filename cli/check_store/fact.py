"""One thing that is asked of a store, and what is lost where the answer is not "yes"."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cli.check_store.ground import Ground

YES = "yes"
NO = "no"
NOT_ASKED = "–"  # another answer, or a second owner's keys, would have to be there first

Answers = Mapping[str, str]  # by the fact's name; YES, or what the store does instead


class Weight(StrEnum):
    """How much a loss weighs."""

    BREAKS = "does not work"  # the pipeline needs it
    LOSES = "may be lost"  # a picture, or that only its owner sees it
    LESS = "good to know"


def always(_: Answers) -> bool:
    """A loss whatever else the store does."""
    return True


@dataclass(frozen=True)
class Loss:
    """What a user loses; `when` looks at what else the store has answered."""

    weight: Weight
    sentence: str
    when: Callable[[Answers], bool] = always


@dataclass(frozen=True)
class Fact:
    """A question whose "yes" is what Amazon S3 does, and the requests that find the answer.

    `ask` returns YES or a few words; a ClientError that it lets through is an answer too. `needs`
    names the fact that must hold before, or OTHER where a second owner's keys are needed.
    `otherwise` is what is lost where `loss` is not.
    """

    name: str
    question: str
    ask: Callable[[Ground], str]
    loss: Loss
    needs: str = ""
    otherwise: Loss | None = None


#: In place of a fact's name: a second owner's keys.
OTHER = "another owner"


def holds(condition: bool) -> str:
    """YES or NO."""
    return YES if condition else NO
