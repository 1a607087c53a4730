"""`completion`: the script by which a shell completes commands, experiments, metrics and fields."""

from __future__ import annotations

import click

from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NotPossibleError
from runbook.cli.verbs import COMPLETE_VARIABLE

_HOW = {
    "bash": 'eval "$(runbook completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(runbook completion zsh)"    # in ~/.zshrc, below compinit',
    "fish": "runbook completion fish | source      # in ~/.config/fish/config.fish",
}


@command("completion", json="an object with shell and script.", example="\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion(ctx: click.Context, context: Context, shell: str) -> None:
    """Print the script for completion in a shell.

    It completes commands, options, ids, names, tags, metrics and fields, as they are in the base directory.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    try:
        script = made(ctx.find_root().command, {}, "runbook", COMPLETE_VARIABLE).source()
    except RuntimeError as error:
        raise NotPossibleError(str(error)) from error
    if context.as_json:
        context.print_json({"shell": shell, "script": script})
    else:
        context.write(script + "\n")
