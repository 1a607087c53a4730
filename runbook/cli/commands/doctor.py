"""`doctor` and `repair`: what is wrong in a base directory, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED
from runbook.cli.outcomes import counted, in_commands
from runbook.display import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.maintain.doctor import Finding

_FINDING = "objects with kind, severity (problem or note), subject, message, remedy and is_repairable"


@command("doctor", empty=[], json=f"an array of {_FINDING}.", example="runbook doctor\nrunbook doctor --json")
def doctor(context: Context) -> int:
    """Say what is wrong in the base directory.

    And what its disk promises; nothing is changed. The exit code is 3 if there is any problem; notes are none.
    """
    found = context.manager.doctor()
    problems = _problems(found)
    if context.as_json:
        context.print_json([attrs.asdict(finding) for finding in found])
    else:
        _print(context, found)
        context.print(counted(len(problems), "problem") if problems else "no problems")
    return DAMAGED if problems else 0


@command(
    "repair",
    json=f"an object with repaired and left, arrays of {_FINDING}, and dry_run.",
    example="runbook repair --dry-run\nrunbook repair",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be mended.")
def repair(context: Context, *, dry_run: bool) -> int:
    """Mend what is wrong in the base directory.

    What is in the way is moved into .set-aside/, and nothing is deleted. The exit code is 3 if a problem is left.
    """
    if dry_run:
        found = context.manager.doctor()
        mended = [finding for finding in found if finding.is_repairable]
        left = [finding for finding in _problems(found) if not finding.is_repairable]
    else:
        mended = context.manager.repair()
        left = _problems(context.manager.doctor())
    if context.as_json:
        both = {"repaired": mended, "left": left}
        data = {name: [attrs.asdict(finding) for finding in findings] for name, findings in both.items()}
        context.print_json({**data, "dry_run": dry_run})
    else:
        for finding in mended:
            context.print(visible(f"{'would mend' if dry_run else 'mended'}: {finding.subject}: {finding.message}"))
        _print(context, left)
        if mended or left:
            context.print(f"{counted(len(mended), 'thing')} {'to mend' if dry_run else 'mended'}, {len(left)} left")
        else:
            context.print("there is nothing to mend")
    return DAMAGED if left else 0


def _problems(found: Iterable[Finding]) -> list[Finding]:
    # By its value: the module that has the enumeration is loaded only where it is used.
    return [finding for finding in found if finding.severity.value == "problem"]


def _print(context: Context, found: Iterable[Finding]) -> None:
    for finding in found:
        context.print(visible(in_commands(str(finding))))
