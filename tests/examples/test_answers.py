"""answers: a CSV of questions becomes answers in PostgreSQL."""

import csv

from tests.checkout import Checkout
from tests.examples.shown import Shown, show

ANSWERS = {
    "What is the city of Alice?": "São Paulo",
    "What is the age of Alice?": "41",
    "Which city is Beatriz from?": "Bogota\u0301",  # as the text has it, with a combining mark
    "Which city does Chen live in?": "東京",
    "What is Chen's profession?": "botanist",
    "Which species is it?": '"Linnaea borealis" L.',
}


def assert_answers_are_shown(shown: Shown) -> None:
    """The answers are in the CSV and in the database."""
    assert shown.jobs() == {"answers": ["done"]}
    (table,) = shown.files("answers", ".csv")
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    answered = {row["question"]: row for row in rows}
    assert len(rows) == 11
    assert {question: answered[question]["answer"] for question in ANSWERS} == ANSWERS
    assert {row["source"] for row in rows} == {"staff list", "brochure", "herbarium"}
    assert "context" in rows[-1]["error"]  # it has none
    stored = {row[1]: row[2] for row in shown.table("select number, question")}
    assert {question: stored[question] for question in ANSWERS} == ANSWERS


def test_questions_are_answered(checkout: Checkout) -> None:
    assert_answers_are_shown(show(checkout, "answers"))
