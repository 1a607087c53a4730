"""What `doctor` and `repair` say about a base directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook.cli.outcomes import in_commands
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
    """Print a line for each, with what to do about it."""
    for finding in found:
        context.print(visible(in_commands(str(finding))))
