"""What the demo needs beside the pipeline: a model, unless there is one, curl, and a picture."""

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import picture
import rule_model
import upload_api

from cli.demo_page import served_page
from cli.examples.interface import Deployed, Plan, Results, Setup
from cli.machines.host import first
from cli.paths import CHECKOUT
from cli.terminal import print_progress
from local import private_file

_WORD = re.compile(r"([^\W\d_]+)\s*:")  # before a colon


def prepare(setup: Setup, plan: Plan) -> Plan:
    """Leave the data to `send`, and generate a model if pipelines.yaml names none that exists."""
    upload_api.require_curl()
    nothing = setup.folder / "data"
    nothing.mkdir()
    plan = replace(plan, data=nothing)
    definition = plan.pipelines["answers"]
    folder = definition.get("folder")
    if "model" in definition.get("parameters", {}) or (folder and (CHECKOUT / folder).is_dir()):
        return plan
    print_progress(
        "No model is given: the answers are found by a rule in `name: value; name: value`."
    )
    made = setup.folder / "model"
    rule_model.write(made, _words(setup.source / "data"))
    return replace(plan, pipelines={"answers": {**definition, "folder": str(made)}})


def send(deployed: Deployed) -> Sequence[str]:
    """Send the CSV to the upload API."""
    header = deployed.setup.folder / "token"
    token = deployed.target.outputs()["uploadToken"]
    private_file.write(header, f"Authorization: Bearer {token}\n")
    tables = sorted((deployed.setup.source / "data").glob("*.csv"))
    with served_page(first(deployed.target)) as page:
        return [upload_api.post(page.address, header, table)["key"] for table in tables]


def show(results: Results) -> None:
    """Show the answers where a user finds them."""
    results.sql(
        "select number, question, answer, round(score::numeric, 3) as score, error from answers"
        " order by number"
    )
    for table in results.files("answers"):
        drawn = results.folder / "answers.svg"
        drawn.write_text(picture.draw(table), encoding="utf-8")
        results.say(f"Picture: {drawn}")


def _words(data: Path) -> list[str]:
    """Return the names of fields in the contexts, as the tokenizer spells them."""
    found: dict[str, None] = {}
    for path in sorted(data.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for word in _WORD.findall(row["context"]):
                    plain = unicodedata.normalize("NFD", word.lower())
                    found["".join(one for one in plain if not unicodedata.combining(one))] = None
    return list(found)
