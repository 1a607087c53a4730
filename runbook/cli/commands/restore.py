"""`restore`: experiments, back from the trash."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NOTHING
from runbook.cli.outcomes import Outcomes, check_given
from runbook.display import age, visible
from runbook.serialize import timestamps


@command(
    "restore",
    json="an object with restored, an array of objects with experiment_id, and failed, an array of objects with given "
    "and error; with --list an array of objects with the fields of the registry and deleted_at.",
    example="runbook restore --list\nrunbook restore baseline",
)
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("-l", "--list", "is_list", is_flag=True, help="Show what is in the trash.")
def restore(context: Context, experiments: tuple[str, ...], *, is_list: bool) -> int:
    """Bring experiments back from the trash.

    An experiment goes by its id, the beginning of its id, or its name; of several with one id, the last deleted.
    """
    if is_list:
        context.empty = []
        return _list_trash(context)
    check_given(experiments, "the experiments that are to come back; --list shows what is in the trash")
    outcomes = Outcomes()
    restored: list[dict[str, str]] = []
    for wanted in experiments:
        with outcomes.each(wanted):
            found = context.manager.restore_experiment(wanted)
            restored.append({"experiment_id": found})
            if not context.as_json:
                context.print(f"{visible(found)}: restored")
    if context.as_json:
        context.print_json({"restored": restored, "failed": outcomes.failed})
    return outcomes.code


def _list_trash(context: Context) -> int:
    trashed = context.manager.list_trash()[::-1]
    if context.as_json:
        context.print_json(trashed)
    for entry in () if context.as_json else trashed:
        context.print(
            visible(f"{entry['experiment_id']}  {entry['status']}  {_describe_deletion(entry.get('deleted_at'))}")
        )
    if not trashed and not context.as_json:
        context.print("the trash is empty")
    return 0 if trashed else NOTHING


def _describe_deletion(moment: object) -> str:
    with contextlib.suppress(ValueError):
        return f"deleted {age(timestamps.parse_time(str(moment)), datetime.now(UTC))}"
    return "nobody knows when it was deleted"
