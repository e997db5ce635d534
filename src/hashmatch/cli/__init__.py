"""The command line: one file for each group of commands, found here.

Data goes to standard output, text for people to standard error. Nothing heavy is imported before
a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from hashmatch import __version__
from hashmatch.cli.demo import demo
from hashmatch.cli.hash import hash_
from hashmatch.cli.list import list_
from hashmatch.cli.match import match
from hashmatch.cli.scan import scan
from hashmatch.cli.terminal import Exit
from hashmatch.errors import BadRows, HashmatchError


class _Commands(click.Group):
    """Turns every way a command can end into its exit code and at most a line of text."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HashmatchError as error:
            click.echo(f"hashmatch: {error}", err=True)
            if isinstance(error, BadRows):
                click.echo("Mend the list, or go on without them: --skip-bad-rows", err=True)
            ctx.exit(Exit.USAGE)
        except KeyboardInterrupt:
            ctx.exit(Exit.INTERRUPTED)
        except BrokenPipeError:
            # The reader has what it wanted. Whatever is still to be flushed goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(Exit.PIPE_CLOSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("HASHMATCH_DEBUG"):
                raise
            click.echo(
                f"hashmatch: internal error, please report it: {type(error).__name__}\n"
                "HASHMATCH_DEBUG=1 shows where.",
                err=True,
            )
            ctx.exit(Exit.BUG)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: hashmatch demo",
)
@click.version_option(__version__, prog_name="hashmatch")
def main() -> None:
    """Match pictures against known-hash lists, for human review.

    hashmatch hashes the images of an unencrypted surface, finds every list entry within a Hamming
    distance, and writes review records. It decides nothing: every match waits for a person.

    Exit codes: 0 finished, every item accounted for; 1 finished, but with --strict some item could
    not be hashed; 2 wrong usage, or a list or source that cannot be read; 130 interrupted;
    141 output closed early; 70 a bug in hashmatch.
    """


for command in (scan, hash_, match, list_, demo):
    main.add_command(command)
