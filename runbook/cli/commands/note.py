"""`note`, `tag` and `end`: saying something of an experiment from outside."""

from __future__ import annotations

import sys

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.options import completed_by, experiment_argument
from runbook.cli.outcomes import in_commands
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
    said = sys.stdin.read().rstrip("\n") if text == ("-",) else " ".join(text)
    if not said.strip():
        raise NotPossibleError("a note has some text; nothing was added")
    found = context.experiment(experiment).id
    context.manager.add_note(found, said)
    if context.as_json:
        context.print_json({"experiment_id": found, "notes": context.manager.get_experiment(found).notes})
    else:
        context.print(f"{visible(found)}: noted")


@command(
    "tag",
    json="an object with experiment_id and tags, all of them.",
    example="runbook tag latest keep paper\nrunbook tag baseline --remove keep\nrunbook tag baseline",
)
@experiment_argument()
@click.argument("tags", nargs=-1, metavar="[TAG]...", shell_complete=completed_by("tags"))
@click.option(
    "-r",
    "--remove",
    multiple=True,
    metavar="TAG",
    shell_complete=completed_by("tags"),
    help="Take this tag away; may be repeated.",
)
def tag(context: Context, experiment: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Give an experiment tags, or take some away.

    Whether it runs or has ended; without any tag, those that it has are shown.
    """
    if not all(one.strip() for one in (*tags, *remove)):
        raise NotPossibleError("a tag has some text; nothing was changed")
    both = sorted({*tags} & {*remove})
    if both:
        raise NotPossibleError(f"{both[0]!r} cannot be given and taken away at once; nothing was changed")
    found = context.experiment(experiment).id
    if tags:
        context.manager.add_tags(found, *tags)
    if remove:
        context.manager.remove_tags(found, *remove)
    now = context.manager.get_experiment(found).tags
    if context.as_json:
        context.print_json({"experiment_id": found, "tags": now})
    else:
        context.print(f"{visible(found)}: {visible(', '.join(now)) or 'no tags'}")


@command(
    "end",
    json="an object with experiment_id and status.",
    example="runbook end baseline --note 'the node was switched off'",
)
@experiment_argument()
@click.option(
    "--status",
    type=click.Choice(["interrupted", "failed", "completed"]),
    default="interrupted",
    show_default=True,
    help="How it ended.",
)
@click.option("--note", "text", metavar="TEXT", help="Added to its notes.")
def end(context: Context, experiment: str, status: str, text: str | None) -> None:
    """Say that an experiment on a lost machine has ended.

    That is for one that ran where nobody can look from here. One that is alive, or has ended already, is refused.
    """
    from runbook import errors

    found = context.experiment(experiment).id
    try:
        context.manager.declare_ended(found, status, text)
    except errors.UsageError as error:
        raise NotPossibleError(in_commands(str(error))) from error
    if context.as_json:
        context.print_json({"experiment_id": found, "status": status})
    else:
        context.print(f"{visible(found)}: {status}")
