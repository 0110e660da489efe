"""The report on a store, as text and as JSON."""

from dataclasses import dataclass
from typing import Any

from cli.check_store.check import Finding, Results, find, is_safe
from cli.check_store.checks import CHECKS, GROUPS
from cli.terminal import print_result, print_table


@dataclass(frozen=True)
class Report:
    """The results of one store."""

    endpoint: str
    results: Results

    @property
    def findings(self) -> list[Finding]:
        """What the results mean for the user, worst first."""
        return find(CHECKS, self.results)

    @property
    def is_safe(self) -> bool:
        """Whether photos are safe there."""
        return is_safe(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "endpoint": self.endpoint,
            "safe": self.is_safe,
            "checks": [
                {
                    "name": check.name,
                    "statement": check.statement,
                    "result": self.results[check.name],
                }
                for check in CHECKS
            ],
            "findings": [
                {
                    "name": finding.check.name,
                    "severity": finding.consequence.severity.value,
                    "sentence": finding.consequence.sentence,
                }
                for finding in self.findings
            ],
        }

    def show(self) -> None:
        """Print the results, then what they mean."""
        for group, checks in GROUPS.items():
            print_result(group, bold=True)
            print_table((f"  {check.statement}", self.results[check.name]) for check in checks)
        for finding in self.findings:
            consequence = finding.consequence
            print_result(
                f"\n{consequence.severity.value.capitalize()}: {consequence.sentence} "
                f"({finding.check.statement}: {finding.result})"
            )
        print_result(
            "\nPhotos are safe with this store."
            if self.is_safe
            else "\nDo not trust this store with photos until the above is resolved."
        )
