"""`note`: a note about an experiment, from outside."""

from __future__ import annotations

import sys

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.options import experiment_argument
from runbook.display import visible


@command(
    "note",
    json="an object with experiment_id and notes, all of them, one a line.",
    example="runbook note latest the loss explodes at epoch 3\nsacct -j 1234 | runbook note baseline -",
)
@experiment_argument()
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
def note(context: Context, experiment: str, text: tuple[str, ...]) -> None:
    """Add a note to an experiment, whether it runs or not.

    TEXT is the note; - reads it from standard input. Words that begin with a dash come after --.
    """
    note_text = sys.stdin.read().rstrip("\n") if text == ("-",) else " ".join(text)
    if not note_text.strip():
        raise NotPossibleError("a note has some text; nothing was added")
    found = context.experiment(experiment).id
    context.manager.add_note(found, note_text)
    if context.as_json:
        context.print_json({"experiment_id": found, "notes": context.manager.get_experiment(found).notes})
    else:
        context.print(f"{visible(found)}: noted")
