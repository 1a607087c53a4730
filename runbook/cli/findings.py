"""The findings of `doctor` and `repair`, printed for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.cli.context import Context
    from runbook.maintain.doctor import Finding

FINDING: Final = "objects with kind, severity (problem or note), subject, message, remedy and is_repairable"
"""The shape of a finding as JSON, for the help."""


def problems_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that are problems, without the notes."""
    # By its value, because an import of the enumeration would load its module for every command.
    return [finding for finding in findings if finding.severity.value == "problem"]


def print_findings(context: Context, findings: Iterable[Finding]) -> None:
    """Print each finding on a line, with its hint for the command line."""
    for finding in findings:
        context.print(
            visible(f"{finding.severity.value}: {finding.subject}: {finding.message}; {finding.hint.at_terminal}")
        )


def jsonable_findings(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as `FINDING` describes them, for `--json`."""
    return [
        {
            "kind": finding.kind,
            "severity": finding.severity.value,
            "subject": finding.subject,
            "message": finding.message,
            "remedy": finding.hint.at_terminal,
            "is_repairable": finding.is_repairable,
        }
        for finding in findings
    ]
