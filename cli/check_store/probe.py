"""Asking a store all there is to ask."""

from collections.abc import Callable, Iterable

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from cli.check_store.fact import NOT_ASKED, OTHER, YES, Answers, Fact
from cli.check_store.ground import Ground
from cli.check_store.store import Store, told
from cli.errors import CommandError


def probe(store: Store, facts: Iterable[Fact], progress: Callable[[int], None]) -> Answers:
    """Each fact's answer. Raises CommandError where the store cannot be asked at all."""
    answers: dict[str, str] = {}
    try:
        with Ground(store) as ground:
            for number, fact in enumerate(facts, 1):
                answers[fact.name] = _ask(fact, ground, answers)
                progress(number)
    except (EndpointConnectionError, ConnectTimeoutError) as problem:
        raise CommandError(
            f"The object store at {store.endpoint} does not answer ({problem}): is the endpoint "
            "right and up?"
        ) from None
    except BotoCoreError as problem:
        raise CommandError(f"The object store at {store.endpoint}: {problem}.") from None
    return answers


def _ask(fact: Fact, ground: Ground, answers: Answers) -> str:
    needed = ground.other is not None if fact.needs == OTHER else answers.get(fact.needs) == YES
    if fact.needs and not needed:
        return NOT_ASKED
    try:
        return fact.ask(ground)
    except (EndpointConnectionError, ConnectTimeoutError):
        raise  # true of everything that is still to be asked
    except ClientError as error:
        return told(error)
    except (BotoCoreError, OSError):
        return "no answer"
