"""What a probe has found, for people and for machines."""

from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.check_store.fact import YES, Answers
from cli.check_store.judgement import Finding, judge, trusted
from cli.check_store.questions import FACTS, GROUPS
from cli.terminal import out


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
        """A table of the answers, then what they cost."""
        grid = Table(box=None, show_header=False, pad_edge=False)
        for group, facts in GROUPS.items():
            grid.add_row(Text(group, style="bold"))
            for fact in facts:
                answer = self.answers[fact.name]
                style = "green" if answer == YES else "yellow"
                grid.add_row(Text(f"  {fact.question}"), Text(answer, style=style))
        out.print(grid)
        for finding in self.findings:
            out.print()
            out.print(
                Text.assemble(
                    (f"{finding.loss.weight.value.capitalize()}: ", "bold"),
                    f"{finding.loss.sentence} ({finding.fact.question}: {finding.answer})",
                )
            )
        out.print()
        out.print(
            "Pictures are safe with this store."
            if self.trusted
            else "Do not trust this store with pictures before the above is settled."
        )
