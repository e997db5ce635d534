"""``hashmatch completion``: what a shell needs to complete commands, options, values and names."""

from __future__ import annotations

import click

from hashmatch.cli.choices import Choice
from hashmatch.cli.command import command

VARIABLE = "_HASHMATCH_COMPLETE"
"""The environment variable in which a shell asks for completions: click's own name for it."""


@command(short_help="Print a script that makes a shell complete commands.")
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, values and file names.

    Values are those that there are: plug-ins that are installed, stores in a folder, versions of
    a store. Put the script where your shell looks for completions, or load it when the shell
    starts: eval "$(hashmatch completion bash)" in ~/.bashrc, or the same for zsh in ~/.zshrc.

    \b
    hashmatch completion bash > hashmatch.bash
    hashmatch completion zsh > _hashmatch
    hashmatch completion fish > hashmatch.fish
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    how = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    click.echo(how(ctx.find_root().command, {}, "hashmatch", VARIABLE).source())
