"""What a probe has found, for people and for machines."""

from dataclasses import dataclass
from typing import Any

from cli.check_store.fact import Answers
from cli.check_store.judgement import Finding, judge, trusted
from cli.check_store.questions import FACTS, GROUPS
from cli.terminal import print_result, print_table


@dataclass(frozen=True)
class Report:
    """The answers of one store."""

    endpoint: str
    answers: Answers

    @property
    def findings(self) -> list[Finding]:
        """What a user loses there."""
        return judge(FACTS, self.answers)

    @property
    def trusted(self) -> bool:
        """Whether pictures are safe there."""
        return trusted(self.findings)

    def as_json(self) -> dict[str, Any]:
        """The whole of it."""
        return {
            "endpoint": self.endpoint,
            "trusted": self.trusted,
            "facts": [
                {"name": fact.name, "question": fact.question, "answer": self.answers[fact.name]}
                for fact in FACTS
            ],
            "losses": [
                {
                    "name": finding.fact.name,
                    "weight": finding.loss.weight.value,
                    "sentence": finding.loss.sentence,
                }
                for finding in self.findings
            ],
        }

    def show(self) -> None:
        """Print the answers, then what they cost."""
        for group, facts in GROUPS.items():
            print_result(group, bold=True)
            print_table((f"  {fact.question}", self.answers[fact.name]) for fact in facts)
        for finding in self.findings:
            print_result(
                f"\n{finding.loss.weight.value.capitalize()}: {finding.loss.sentence} "
                f"({finding.fact.question}: {finding.answer})"
            )
        print_result(
            "\nPictures are safe with this store."
            if self.trusted
            else "\nDo not trust this store with pictures before the above is settled."
        )
