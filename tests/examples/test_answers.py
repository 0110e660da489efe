"""answers: a CSV of questions becomes answers in PostgreSQL."""

import csv
import json
import re
import shutil
from pathlib import Path

from tests.checkout import Checkout
from tests.examples.shown import Shown, is_clean, show

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


def test_questions_are_sent_as_a_form_and_answered(checkout: Checkout) -> None:
    shown = show(checkout, "answers")
    assert_answers_are_shown(shown)
    sent, asked = re.findall(r"^curl -H @token .*\n(.*)$", shown.text, re.MULTILINE)
    assert json.loads(sent)["key"] == "questions.csv"
    job = json.loads(asked)
    assert job["state"] == "done"
    assert [one["data"]["answer"] for one in job["records"]] == list(ANSWERS.values())[:2]
    assert "… and 9 more records" in shown.text
    assert [one["contentType"] for one in job["results"]] == ["text/csv"]
    assert "Bearer" not in shown.text


def test_a_computer_without_curl_is_told_before_anything_is_deployed(
    checkout: Checkout, tmp_path: Path
) -> None:
    for name in ("bash", "env", "git", "python3"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    bare = Checkout(checkout.folder, {**checkout.environment, "PATH": str(tmp_path)})
    said = bare.pipeline("demo", "--example", "answers", code=1).stderr
    assert "This example sends its data by curl, which is not installed: install it" in said
    assert is_clean(checkout.folder)
