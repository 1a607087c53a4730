"""`tag`: the tags of an experiment, added and removed from outside."""

from __future__ import annotations

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.options import completed_by, experiment_argument
from runbook.display import visible


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
