"""What `doctor` and `repair` say about a base directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.cli.context import Context
    from runbook.maintain.doctor import Finding

FINDING: Final = "objects with kind, severity (problem or note), subject, message, remedy and is_repairable"
"""The shape of a finding as JSON, for the help."""


def problems_of(found: Iterable[Finding]) -> list[Finding]:
    """Those that are problems, and no mere notes."""
    # By its value: the module that has the enumeration is loaded only where it is used.
    return [finding for finding in found if finding.severity.value == "problem"]


def print_findings(context: Context, found: Iterable[Finding]) -> None:
    """Print a line for each, with what to do about it on the command line."""
    for one in found:
        context.print(visible(f"{one.severity.value}: {one.subject}: {one.message}; {one.hint.at_terminal}"))


def jsonable_findings(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings for `--json`, as `FINDING` describes them."""
    return [
        {
            "kind": one.kind,
            "severity": one.severity.value,
            "subject": one.subject,
            "message": one.message,
            "remedy": one.hint.at_terminal,
            "is_repairable": one.is_repairable,
        }
        for one in found
    ]
