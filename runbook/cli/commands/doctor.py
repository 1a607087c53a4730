"""`doctor`: the problems of a base directory."""

from __future__ import annotations

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import DAMAGED
from runbook.cli.findings import FINDING, jsonable_findings, print_findings, problems_of
from runbook.cli.outcomes import format_count


@command("doctor", empty=[], json=f"an array of {FINDING}.", example="runbook doctor\nrunbook doctor --json")
def doctor(context: Context) -> int:
    """Say what is wrong in the base directory.

    And what its disk promises; nothing is changed. The exit code is 3 if there is any problem; notes are none.
    """
    found = context.manager.doctor()
    problems = problems_of(found)
    if context.as_json:
        context.print_json(jsonable_findings(found))
    else:
        print_findings(context, found)
        context.print(format_count(len(problems), "problem") if problems else "no problems")
    return DAMAGED if problems else 0
